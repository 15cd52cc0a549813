"""What a run measured, on this disk, until MLflow has it: one folder a run.

    events.jsonl    one event a line, appended by the stage (which holds a lock on it while it lives)
    files/<n>/      copies of the artefacts, because a stage's outputs may be gone when they are uploaded
    progress.json   written by whoever uploads: run id, bytes of events.jsonl that MLflow has, last error

Every upload can be repeated: the run is found again by its session, and MLflow drops metrics that it already has.
"""

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.tracking.locks import acquire

LOCAL = "mlflow.db"
SETTLED = 60.0  # seconds after which a folder without events is no longer one that is being made


def root() -> Path:
    """The top of the project: the main work tree, also when DVC runs a stage in a temporary copy of it."""
    given = os.environ.get("DVC_ROOT")
    return Path(given).resolve() if given else Path(git("rev-parse", "--show-toplevel") or ".").resolve()


def home() -> Path:
    """Where the local store and the spool are."""
    return root() / ".mlflow"


def uri() -> str:
    """Where runs go: MLFLOW_TRACKING_URI, or else the SQLite store of this project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / LOCAL}"


def git(*arguments: str) -> str:
    """What git prints, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20)
        return done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


@dataclass(frozen=True)
class Spool:
    """The folder of one run."""

    folder: Path

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    def progress(self) -> dict[str, Any]:
        """What the uploader last noted; nothing before it has done anything."""
        path = self.folder / "progress.json"
        return artifacts.read_json(path) if path.is_file() else {}

    def note(self, **values: Any) -> None:
        """Note how far the upload is."""
        artifacts.write_json(self.folder / "progress.json", self.progress() | values)

    def pending(self) -> list[tuple[dict[str, Any], int]]:
        """The events that MLflow has not, each with the offset of its end. A line still being written waits."""
        return list(self._since(self.progress().get("offset", 0)))

    def _since(self, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
        with self.events.open("rb") as file:
            file.seek(offset)
            lines = file.read().split(b"\n")[:-1]
        for line in lines:
            offset += len(line) + 1
            with suppress(ValueError):  # cut short by a crash of the machine; what follows it is still good
                yield json.loads(line), offset

    def close(self) -> bool:
        """Give a run whose stage died without a word its last event; False if a stage still writes here."""
        handle = acquire(self.events, wait=False)
        if handle is None:
            return False
        with Writer(self, handle) as writer:
            events = list(self.read())
            if events and events[-1]["op"] != "end":
                writer.append("end", status="KILLED", time=events[-1]["time"])
        return True

    def read(self) -> Iterator[dict[str, Any]]:
        """Every event."""
        return (event for event, _ in self._since(0))

    def remove(self) -> None:
        """Forget the run, which MLflow has, unless its stage has started again."""
        handle = acquire(self.events, wait=False)
        if handle is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(handle)


def waiting() -> list[Spool]:
    """The runs that MLflow does not have, or not entirely, oldest first."""
    found: list[tuple[float, str, Path]] = []
    for path in (home() / "spool").glob("*/events.jsonl"):
        with suppress(FileNotFoundError):  # uploaded just now
            found.append((path.parent.stat().st_mtime, path.parent.name, path.parent))
    return [Spool(folder) for _, _, folder in sorted(found)]


def tidy() -> None:
    """Remove what a crash left of runs that were just being forgotten: a folder without events, a lock of nothing."""
    for path in (home() / "spool").glob("*"):
        folder = path.with_name(path.name.removesuffix(".lock"))
        with suppress(FileNotFoundError):
            if (folder / "events.jsonl").exists() or time.time() - path.stat().st_mtime < SETTLED:
                continue
            handle = acquire(folder.with_name(f"{folder.name}.lock"), wait=False)
            if handle is not None:
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_name(f"{folder.name}.lock").unlink()
                os.close(handle)


class Writer:
    """The stage's end of a spool: appends, and holds the lock that says it is alive."""

    def __init__(self, spool: Spool, handle: int | None = None) -> None:
        self.spool = spool
        handle = acquire(spool.events, wait=True) if handle is None else handle
        assert handle is not None
        self._file = os.fdopen(handle, "r+b", buffering=0)  # one write a line: a killed stage leaves whole lines
        if self._file.seek(0, os.SEEK_END):
            self._file.write(b"\n")  # ends whatever line a crash of the machine cut short
        self._copies = len(list((spool.folder / "files").glob("*")))

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the spool."""
        self._file.close()

    def append(self, op: str, **values: Any) -> None:
        """Append one event, or raise OSError and leave the file as it was: a full disk takes half a line."""
        event = {"op": op, "time": time.time_ns() // 1_000_000} | values
        line, start = json.dumps(event).encode() + b"\n", self._file.tell()
        written = self._file.write(line)
        if written != len(line):
            self._file.truncate(start)
            self._file.seek(start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.spool.events))

    def file(self, source: Path, tags: Mapping[str, str] | None = None) -> None:
        """Keep a copy of a file or folder, to be uploaded under its own name."""
        target = self._place(source.name)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        self.append("file", path=target.relative_to(self.spool.folder).as_posix(), tags=dict(tags or {}))

    def text(self, name: str, content: str, tags: Mapping[str, str] | None = None) -> None:
        """Keep `content` as the file `name`, to be uploaded."""
        target = self._place(name)
        target.write_text(content, encoding="utf-8")
        self.append("file", path=target.relative_to(self.spool.folder).as_posix(), tags=dict(tags or {}))

    def _place(self, name: str) -> Path:
        self._copies += 1  # its own folder: an earlier artefact of the same name may be on its way
        target = self.spool.folder / "files" / str(self._copies) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
