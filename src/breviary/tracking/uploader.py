"""The second process of a run: carries its spool to MLflow while the stage works, and closes the run when it dies.

Started by `runs.run` with a pipe on standard input that says one thing, by closing: the stage is over.
After a failure nothing is tried for `RETRY` seconds, so that a server that is down costs a few connections and no more.
"""

import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from breviary.tracking import store
from breviary.tracking.spool import Spool, waiting

EVERY = 2.0  # seconds between uploads: what the MLflow page lags behind
RETRY = 30.0  # seconds without a try after a failure


def follow(spool: Spool, stage: int) -> None:
    """Upload until the pipe `stage` closes, and then the rest."""
    connection, next_try, over = None, 0.0, False
    while not over and spool.events.exists():
        over = bool(select.select([stage], [], [], EVERY)[0])
        if over:
            spool.close()
        if time.monotonic() < next_try:
            continue
        try:
            connection = connection or store.connect(store.uri())
            store.upload(spool, connection)
        except Exception as error:  # whatever a server or its client does, it is not the stage's concern
            spool.note(error=f"{store.uri()}: {_first_line(error)}")
            connection, next_try = None, time.monotonic() + RETRY


def sync(to: str | None = None) -> Iterator[tuple[str, str]]:
    """Upload what waits, to where it was meant to go or to `to`; yields (run, what was wrong or "") for each."""
    for spool in waiting():
        if not spool.close():
            continue  # its stage is at work, and has its own uploader
        try:
            store.upload(spool, store.connect(to or store.destination(spool)))
            yield spool.folder.name, ""
        except Exception as error:
            spool.note(error=_first_line(error))
            yield spool.folder.name, _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


if __name__ == "__main__":
    follow(Spool(Path(sys.argv[1])), sys.stdin.fileno())
