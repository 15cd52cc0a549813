"""What a fault may leave behind, and the state that `dvc repro` has to bring back.

Everything is compared with the finished project before the fault: dvc.lock and every output byte for byte, the objects
of the DVC cache with the digests that they are named by, the list of files, the runs of MLflow.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.clone import Clone
from breviary.lineage import hashing

APART = {".git", "cache", "tmp", "artifacts", "__pycache__"}  # what other checks look at, or what grows with each run
STORE = ".mlflow/mlflow.db"
PATIENCE = 120.0  # seconds for uploaders to end


@dataclass(frozen=True)
class State:
    """A finished project."""

    lock: bytes
    files: frozenset[str]


def state(clone: Clone) -> State:
    """What there is now."""
    return State((clone.folder / "dvc.lock").read_bytes(), frozenset(_files(clone.folder)))


def forget(clone: Clone, stage: str) -> list[Path]:
    """Take from DVC's cache all that could spare it to run `stage` again; gives the stage's outputs."""
    shutil.rmtree(clone.cache / "runs", ignore_errors=True)
    outs = clone.stages()[stage]["outs"]
    for out in outs:
        held = _object(clone.cache, out["md5"])
        if held.suffix == hashing.FOLDER and held.exists():
            for each in json.loads(held.read_bytes()):
                _object(clone.cache, each["md5"]).unlink(missing_ok=True)
        held.unlink(missing_ok=True)
    return [clone.folder / out["path"] for out in outs]


def differences(clone: Clone, before: State) -> Iterator[str]:
    """What is not as it was before the fault, temporary files apart."""
    if (clone.folder / "dvc.lock").read_bytes() != before.lock:
        yield "dvc.lock differs"
    for stage, entry in clone.stages().items():
        for out in entry.get("outs", []):
            path = clone.folder / out["path"]
            if not path.exists() or hashing.of_path(path) != out["md5"]:
                yield f"{stage}: {out['path']} is not what dvc.lock says"
    yield from damaged(clone.cache)
    for name in sorted(before.files - set(_files(clone.folder))):
        yield f"{name} is gone"
    yield from (f"MLflow run {run} is RUNNING" for run in running(clone))


def strays(clone: Clone, before: State) -> list[str]:
    """Files that were not there before the fault, and objects in the cache that are none."""
    added = {name for name in set(_files(clone.folder)) - before.files if not _settling(name)}
    return sorted(added) + sorted(
        path.relative_to(clone.folder).as_posix() for path in clone.cache.rglob("*.tmp") if path.is_file()
    )


def _settling(name: str) -> bool:
    """An empty lock beside the spool of a run that is gone: a later stage sweeps it up, once it is a minute old."""
    return name.startswith(".mlflow/spool/") and name.endswith(".lock")


def damaged(cache: Path) -> Iterator[str]:
    """Objects of a DVC cache whose content is not what their name says."""
    for path in sorted((cache / "files/md5").glob("??/*")):
        if path.suffix != ".tmp" and hashing.of_file(path) != path.parent.name + path.name.removesuffix(hashing.FOLDER):
            yield f"{path.relative_to(cache)} in the cache holds something else"


def running(clone: Clone) -> list[str]:
    """The ids of MLflow runs that say RUNNING once no uploader is at work any more."""
    deadline = time.monotonic() + PATIENCE
    while clone.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    store = clone.folder / STORE
    if not store.exists():
        return []
    with sqlite3.connect(store) as connection:
        rows: Iterable[tuple[str]] = connection.execute("SELECT run_uuid FROM runs WHERE status = 'RUNNING'").fetchall()
    connection.close()
    return [run for (run,) in rows]


def _object(cache: Path, md5: str) -> Path:
    return cache / "files/md5" / md5[:2] / md5[2:]


def _files(root: Path) -> Iterator[str]:
    for path in root.iterdir():
        if path.name in APART:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from (f"{path.name}/{name}" for name in _files(path))
        else:
            yield path.name
