"""The second process of a run: carries its spool to MLflow while the stage works, and closes the run when it dies.

Started by `runs.run` with a pipe on standard input that says one thing, by closing: the stage is over.
After a failure nothing is tried for `RETRY` seconds, so that a server that is down costs a few connections and no more.
It also looks after the parent run, once this run is safe, and after runs that nobody looks after: where a machine went
down, or a cluster's scheduler ended everything, stage and uploader died together, and MLflow says RUNNING until the
next stage to run, whatever it is, closes them. What fails there is left to the next `breviary sync`.
"""

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from breviary.tracking import pipeline, store
from breviary.tracking.execution import Execution
from breviary.tracking.locks import acquire
from breviary.tracking.spool import Spool, tidy, waiting

EVERY = 2.0  # seconds between uploads: what the MLflow page lags behind
RETRY = 30.0  # seconds without a try after a failure
RESCUE = 5.0  # seconds for the runs of others: at its end, the stage waits for us


def follow(spool: Spool, stage: int) -> None:
    """Upload until the pipe `stage` closes, and then the rest."""
    connection, next_try, over, attached, rescued = None, 0.0, False, False, False
    while not over and spool.events.exists():
        over = bool(select.select([stage], [], [], EVERY)[0])
        if over:
            spool.close()
        if time.monotonic() < next_try:
            continue
        try:
            asked = _asks_to_gather(spool) if over else None
            connection = connection or store.connect(store.uri())
            run = store.upload(spool, connection)
        except Exception as error:  # whatever a server or its client does, it is not the stage's concern
            spool.note(error=f"{store.uri()}: {_first_line(error)}")
            connection, next_try = None, time.monotonic() + RETRY
            continue
        if run and (over or not attached):
            with suppress(Exception):
                pipeline.attach(connection, run)
                attached = True
                if asked:
                    keys, evaluation = results(Path())
                    pipeline.gather(connection, keys, evaluation, asked)
        if not rescued:
            rescued = True
            _rescue(connection)


def results(root: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """What the stages left in `root`: the key in the receipt of each, and data/evaluation.json."""
    receipts = [json.loads(path.read_bytes()) for path in sorted((root / "runs").glob("*.json"))]
    evaluation = root / "data" / "evaluation.json"
    return (
        {each["stage"]: each["key"] for each in receipts},
        json.loads(evaluation.read_bytes()) if evaluation.is_file() else {},
    )


def _asks_to_gather(spool: Spool) -> Execution | None:
    """The execution that this run is the last of, None if it is not the last, or failed."""
    events = list(spool.read())
    asked = any(event["op"] == "gather" for event in events) and events[-1].get("status") == "FINISHED"
    return Execution.of(next(event["tags"] for event in events if event["op"] == "start")) if asked else None


def _rescue(connection: store.Connection) -> None:
    """Close the runs of this store whose stage and uploader are dead, oldest first, as far as the time allows."""
    deadline = time.monotonic() + RESCUE
    with suppress(Exception):
        tidy()
        for spool in waiting():
            if time.monotonic() < deadline and store.destination(spool) == connection.uri and _abandoned(spool):
                run = store.upload(spool, connection)
                if run:
                    pipeline.attach(connection, run)


def _abandoned(spool: Spool) -> bool:
    """Whether neither its stage nor an uploader is at work on it; what the stage did not say is then said for it."""
    handle = acquire(store.lock(spool), wait=False)
    if handle is None:
        return False
    os.close(handle)
    return spool.close()


def sync(to: str | None = None) -> Iterator[tuple[str, str]]:
    """Upload what waits, to where it was meant to go or to `to`; yields (run, what was wrong or "") for each."""
    tidy()
    for spool in waiting():
        if not spool.close():
            continue  # its stage is at work, and has its own uploader
        try:
            connection = store.connect(to or store.destination(spool))
            run = store.upload(spool, connection)
            with suppress(Exception):
                if run:
                    pipeline.attach(connection, run)
            yield spool.folder.name, ""
        except Exception as error:
            spool.note(error=_first_line(error))
            yield spool.folder.name, _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


if __name__ == "__main__":
    follow(Spool(Path(sys.argv[1])), sys.stdin.fileno())
