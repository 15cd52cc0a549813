"""`run`: what a stage enters, and what it gives its measurements to.

    with tracking.run("train_phase1", params, reads) as run:
        run.metrics({"loss": 2.1}, step=10)
        run.artifacts(Path("models/phase1"))

On success a receipt is written to `runs/<stage>.json`, last of all: {"stage", "key"}, and no run id. An id would be
new in each clone, and with it the hash in dvc.lock, which then could not be the same for two people who ran the same
thing. The key is a function of what was run; `store.find` asks MLflow for the finished run that carries it as a tag.
"""

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, SupportsFloat

from breviary import artifacts
from breviary.tracking import fingerprint, intact, scratch
from breviary.tracking.execution import origin
from breviary.tracking.peaks import peak_memory
from breviary.tracking.spool import Spool, Writer, home, root, uri

RECEIPTS = Path("runs")
FINISH = 30.0  # seconds that a stage waits, at its end, for MLflow to have everything
LOOK = 5.0  # seconds between two looks at how the uploader is doing
LATER = "later"  # BREVIARY_TRACKING=later: leave everything in the spool, for `breviary sync`


class Run:
    """Where a stage's measurements and checkpoints go. Nothing here raises because of tracking, or waits for it."""

    def __init__(self, stage: str, folder: Path, writer: Writer | None) -> None:
        self.stage = stage
        self.scratch = folder  # checkpoints: kept when the stage dies, gone when it succeeds
        self._writer = writer  # None: another process of a distributed run speaks for all
        self._not_finite: dict[str, int] = {}
        self._warned = False
        self._looked = time.monotonic()

    def metrics(self, values: Mapping[str, SupportsFloat], step: int | None = None) -> None:
        """Record numbers; one that is not finite is left out and counted as `<name>_not_finite`."""
        named = {_name(name): float(value) for name, value in values.items()}
        finite = {name: value for name, value in named.items() if math.isfinite(value)}
        for name in sorted(named.keys() - finite.keys()):
            self._not_finite[name] = self._not_finite.get(name, 0) + 1
            finite[f"{name}_not_finite"] = self._not_finite[name]
        self._write(lambda writer: writer.append("metrics", values=finite, step=step or 0))

    def artifacts(self, path: Path) -> None:
        """Record a file or folder under its own name."""
        self._write(lambda writer: writer.file(path))

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record rows that MLflow shows as a table."""
        columns = list(dict.fromkeys(column for row in rows for column in row))
        content = {"columns": columns, "data": [[row.get(column) for column in columns] for row in rows]}
        file = f"{_name(name).replace('/', '_')}.json"
        shown = {"mlflow.loggedArtifacts": json.dumps([{"path": file, "type": "table"}])}
        self._write(lambda writer: writer.text(file, json.dumps(content, ensure_ascii=False, default=str), shown))

    def tags(self, values: Mapping[str, str]) -> None:
        """Record words."""
        short = {_name(name): str(value)[:5000] for name, value in values.items()}
        self._write(lambda writer: writer.append("tags", tags=short))

    def gather(self) -> None:
        """Ask that the parent run be given all results once this stage is over; the last stage does."""
        self._write(lambda writer: writer.append("gather"))

    def warn(self, message: str) -> None:
        """Say once that tracking does not work."""
        if not self._warned:
            print(f"{self.stage}: warning: {message}", file=sys.stderr)
        self._warned = True

    def _write(self, write: Callable[[Writer], None]) -> None:
        if self._writer is None:
            return
        try:
            write(self._writer)
            if time.monotonic() - self._looked > LOOK:
                self._looked = time.monotonic()
                error = self._writer.spool.progress().get("error")
                if error:
                    self.warn(f"MLflow cannot be reached ({error}); the run goes on, `breviary sync` uploads it later")
        except OSError as error:  # a full disk must not end a training that writes elsewhere
            self.warn(f"nothing more is recorded of this run: {error}")
            self._writer = None


@contextmanager
def run(stage: str, params: Mapping[str, Any], reads: Sequence[Path]) -> Iterator[Run]:
    """Run the block as one MLflow run of `stage`; write its receipt if it ends well.

    Raises ArtifactError if a file of `reads` is missing, or, where DVC runs the stage, not what was written. A stage
    that was killed, started again with the same key, finds its scratch folder and goes on in the same MLflow run.
    """
    read = fingerprint.inputs(reads)
    if "DVC_STAGE" in os.environ:  # by hand, a stage may read what dvc.lock does not know of
        intact.require(read)
    key = fingerprint.key(stage, params, read)
    checkpoints = root() / ".checkpoints" / stage
    if int(os.environ.get("RANK", "0")):
        yield Run(stage, checkpoints / key, None)
        return
    with scratch.claimed(checkpoints, key) as folder, _terminable():
        session, attempt = scratch.session(folder)
        spool = Spool(home() / "spool" / f"{stage}-{key[:12]}-{session[:12]}")
        tags = {"dvc.stage": stage, "dvc.key": key, "breviary.session": session} | origin()
        with _spooled(stage, folder, spool, tags, params, read) as current:
            began = time.monotonic(), time.process_time()
            try:
                yield current
            finally:
                spent = {"wall_seconds": time.monotonic() - began[0], "cpu_seconds": time.process_time() - began[1]}
                current.metrics(spent | peak_memory(), step=attempt)
            artifacts.write_json(RECEIPTS / f"{stage}.json", {"key": key, "stage": stage})
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _spooled(
    stage: str,
    folder: Path,
    spool: Spool,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    read: Sequence[fingerprint.Input],
) -> Iterator[Run]:
    """The run, with its beginning and end on record and the uploader beside it."""
    try:
        writer = Writer(spool)
    except OSError as error:
        current = Run(stage, folder, None)
        current.warn(f"nothing is recorded of this run: {error}")
        yield current
        return
    current, child, status = Run(stage, folder, writer), None, "FAILED"
    try:
        current._write(lambda writer: _announce(writer, stage, tags, params, read))
        child = _upload(spool)
        yield current
        status = "FINISHED"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            status = "KILLED"
        current.tags({"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        current._writer = writer  # what was lost on a full disk is lost, but how the stage ended is known
        current._write(lambda writer: writer.append("end", status=status))
        writer.close()
        _finish(current, spool, child)


def _announce(
    writer: Writer, stage: str, tags: Mapping[str, str], params: Mapping[str, Any], read: Sequence[fingerprint.Input]
) -> None:
    label = tags["dvc.exp"] or tags["git.commit"][:7]
    writer.append(
        "start",
        uri=uri(),
        name=f"{stage} {label}".strip(),
        tags=dict(tags),
        params=flat(params),
        inputs=[{"name": item.name, "md5": item.md5} for item in read],
    )
    writer.text("params.json", json.dumps(params, indent=1, sort_keys=True, default=str))


def _upload(spool: Spool) -> subprocess.Popen[bytes] | None:
    """Start the second process; its end of the pipe closes when this process is gone, however it went."""
    if os.environ.get("BREVIARY_TRACKING") == LATER:
        return None
    package = str(fingerprint.PACKAGE.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    with suppress(OSError), (spool.folder / "uploader.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "breviary.tracking.uploader", str(spool.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the stage; the uploader then has its end to report
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )


def _finish(current: Run, spool: Spool, child: subprocess.Popen[bytes] | None) -> None:
    """Wait a bounded time for the uploader, and say so if it could not finish."""
    if child is not None and child.stdin is not None:
        child.stdin.close()
        try:
            child.wait(FINISH)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child is not None and spool.folder.exists():
        why = spool.progress().get("error") or "it took too long"
        current.warn(
            f"MLflow does not have this run yet ({why}); it is in {spool.folder}, upload it with `breviary sync`"
        )


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested params as `section.key` and text; a list is one value."""
    found: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{_name(str(key))}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        else:
            found[name] = json.dumps(value, default=str) if isinstance(value, list) else str(value)
    return found


def _name(name: str) -> str:
    """What MLflow takes as a name: `ndcg@10` is refused there."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM as an exception, so that the run is closed as failed and checkpoints stay whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
