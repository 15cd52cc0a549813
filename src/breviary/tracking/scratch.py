"""A folder in which a stage can leave checkpoints: survives a crash, and belongs to one key only.

`$DVC_ROOT/.checkpoints/<stage>/<key>/`. It lies outside DVC's outputs, because DVC deletes those before a stage runs,
and `persist: true` would let changed params start from the finished model of the old ones.
"""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from breviary import artifacts
from breviary.tracking.locks import acquire

STALE = 14 * 24 * 3600  # seconds after which another key's folder is given up
SESSION = "session.json"


@contextmanager
def claimed(parent: Path, key: str) -> Iterator[Path]:
    """The folder of `key`, ours alone until the block ends: a second process with the same key gets another one."""
    _prune(parent, key)
    number = 0
    while True:
        folder = parent / (f"{key}.{number}" if number else key)
        lock = folder.with_name(f"{folder.name}.lock")
        handle = acquire(lock, wait=False)
        if handle is not None:
            break
        number += 1
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if not folder.exists():
            lock.unlink(missing_ok=True)
        os.close(handle)


def session(folder: Path) -> tuple[str, int]:
    """The name of the MLflow run that this folder belongs to, and which attempt at it this is, from 0."""
    path = folder / SESSION
    known = artifacts.read_json(path) if path.is_file() else {"session": uuid.uuid4().hex, "attempts": 0}
    artifacts.write_json(path, known | {"attempts": known["attempts"] + 1})
    return known["session"], known["attempts"]


def _changed(folder: Path) -> float:
    """When something in it was last written; now, for one that is being removed by whoever was at work in it."""
    try:
        return max((path.stat().st_mtime for path in folder.iterdir()), default=folder.stat().st_mtime)
    except FileNotFoundError:
        return time.time()


def _prune(parent: Path, key: str) -> None:
    """Remove what other keys left behind long ago."""
    for folder in parent.glob("*/"):
        if folder.name.startswith(key) or time.time() - _changed(folder) < STALE:
            continue
        lock = folder.with_name(f"{folder.name}.lock")
        handle = acquire(lock, wait=False)
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            os.close(handle)
