"""Faults, and the moments at which they strike a stage that `dvc repro` runs.

    moment       from                                              until, at most
    starting     the stage's process is there: imports             3 s later
    working      it has entered its run: checkpoints, MLflow       1 s
    writing      a first output, or a part of one, is on disk      0.05 s
    ending       its receipt is written; MLflow gets the rest      1 s
    committing   its process is gone: dvc hashes, caches           1 s
    recording    dvc rewrites dvc.lock                             0.1 s

    fault        what it does                                                         stands for
    kill         SIGKILL to dvc, stage and uploader                                   a machine that goes down
    terminate    SIGTERM to dvc and stage                                             a scheduler, `docker stop`
    killer       SIGKILL to the stage alone                                           the kernel's out-of-memory killer
    memory       no byte of address space more for the stage (RLIMIT_AS)              an allocation that fails
    full         no more than 64 kB free on the disk of project, cache and MLflow     a full disk
    cache        the DVC cache is mounted read-only                                   a shared cache without the right
    models       the model cache is mounted read-only                                 one that an administrator filled

Where this user may not mount, `full` limits the size of a file (RLIMIT_FSIZE) for dvc and stage, which is not the same:
the other files go on growing. `cache` and `models` then cannot be had.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from bench.clone import SIZE, Clone, mount

MOMENTS = {"starting": 3.0, "working": 1.0, "writing": 0.05, "ending": 1.0, "committing": 1.0, "recording": 0.1}
OF_THE_STAGE = ("starting", "working", "writing", "ending")  # while its process is there
KINDS = {
    "kill": tuple(MOMENTS),
    "terminate": tuple(MOMENTS),
    "killer": OF_THE_STAGE,
    "memory": ("starting", "working", "writing"),
    "full": tuple(MOMENTS),
    "cache": tuple(MOMENTS),
    "models": ("starting", "working"),
}
MOUNTING = ("cache", "models")  # need a mount
LOOK = 0.01  # seconds between two looks at what the stage is doing
LEFT = 64 << 10  # bytes that a full disk has left, at most
PATIENCE = 120.0  # seconds for what has been told to stop


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, once."""

    number: int
    stage: str
    kind: str
    moment: str
    delay: float  # seconds after the moment
    left: int  # bytes that `full` leaves


def planned(count: int, seed: int, stages: Sequence[str], kinds: Sequence[str]) -> list[Fault]:
    """`count` faults: every stage comes before any comes again, and so does every kind."""
    draw = random.Random(seed)
    rounds = {"stage": (list(stages), []), "kind": (list(kinds), [])}

    def following(which: str) -> str:
        every, rest = rounds[which]
        if not rest:
            rest += draw.sample(every, len(every))
        return rest.pop()

    faults = []
    for number in range(count):
        stage, kind = following("stage"), following("kind")
        moment = draw.choice(KINDS[kind])
        faults.append(Fault(number, stage, kind, moment, draw.random() * MOMENTS[moment], draw.randrange(LEFT)))
    return faults


def struck(clone: Clone, fault: Fault, outs: Sequence[Path]) -> tuple[bool, int, str]:
    """Run the fault's stage again, and strike.

    Gives whether there was anything left to strike, the status of `dvc repro`, and what it said. Whatever was mounted
    or limited is as before at the end.
    """
    dvc = clone.start("dvc", "repro", "--force", "--single-item", fault.stage)
    stage = _awaited(clone, dvc, fault, outs)
    time.sleep(fault.delay)
    undo = _strike(clone, dvc, stage, fault) if dvc.poll() is None else None
    try:
        said, _ = dvc.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        dvc.kill()
        said = f"still there {PATIENCE:.0f} s after '{fault.kind}'\n{dvc.communicate()[0]}"
    finally:
        if undo:
            undo()
    return undo is not None, dvc.returncode, said


def _awaited(clone: Clone, dvc: subprocess.Popen[str], fault: Fault, outs: Sequence[Path]) -> psutil.Process | None:
    """Wait for the fault's moment, or the end of dvc; the process of the stage, where there is one."""
    stage, removed = None, False
    receipt = clone.folder / "runs" / f"{fault.stage}.json"
    recorded = (clone.folder / "dvc.lock").stat().st_mtime_ns
    while dvc.poll() is None:
        stage = stage or _stage_of(dvc)
        removed = removed or (stage is not None and not receipt.exists())  # dvc removes outputs before it runs a stage
        if stage and _has_come(fault, clone.folder, stage, recorded, outs if removed else None):
            break
        time.sleep(LOOK)
    return stage


def _has_come(fault: Fault, root: Path, stage: psutil.Process, recorded: int, outs: Sequence[Path] | None) -> bool:
    """Whether the moment is there; `outs` are those that were removed, None while they are those of the last time."""
    name = fault.stage.split("@")[0]
    match fault.moment:
        case "starting":
            return True
        case "working":
            return outs is not None and any((root / ".checkpoints").glob(f"{name}*/*.lock"))
        case "writing":
            return outs is not None and any(path.exists() or any(_parts(path)) for path in outs)
        case "ending":
            return outs is not None and (root / "runs" / f"{fault.stage}.json").exists()
        case "committing":
            return not stage.is_running() or stage.status() == psutil.STATUS_ZOMBIE
        case "recording":
            return (root / "dvc.lock").stat().st_mtime_ns != recorded
    raise ValueError(f"no moment '{fault.moment}'; known: {', '.join(MOMENTS)}")


def _stage_of(dvc: subprocess.Popen[str]) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(dvc.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                if len(words) > 1 and words[1].startswith("stages/") and "python" in Path(words[0]).name:
                    return process
    return None


def _parts(path: Path) -> Iterator[Path]:
    return path.parent.glob(f".{path.name}.*.part")


def _strike(
    clone: Clone, dvc: subprocess.Popen[str], stage: psutil.Process | None, fault: Fault
) -> Callable[[], object] | None:
    """Do it; gives what undoes it, or None where there was nothing left to strike."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it ended just now
        match fault.kind:
            case "kill":
                clone.stop()
                return _nothing
            case "terminate":
                os.killpg(dvc.pid, signal.SIGTERM)
                return _nothing
            case "killer" if stage:
                stage.kill()
                return _nothing
            case "memory" if stage:
                resource.prlimit(stage.pid, resource.RLIMIT_AS, (stage.memory_info().vms, resource.RLIM_INFINITY))
                return _nothing
            case "full":
                return _full(clone, dvc, stage, fault.left)
            case "cache" | "models":
                return _read_only(clone.cache if fault.kind == "cache" else clone.models)
    return None


def _nothing() -> None:
    """What ends with the process needs no undoing."""


def _full(
    clone: Clone, dvc: subprocess.Popen[str], stage: psutil.Process | None, left: int
) -> Callable[[], object] | None:
    if clone.disk is None:
        for process in [dvc.pid, *([stage.pid] if stage and stage.is_running() else [])]:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (left, resource.RLIM_INFINITY))
        return _nothing
    disk = str(clone.disk)
    if not mount("-o", f"remount,size={shutil.disk_usage(disk).used + left}", disk):
        return None
    return lambda: print(end="" if mount("-o", f"remount,size={SIZE}", disk) else f"{disk}: still full\n")


def _read_only(folder: Path) -> Callable[[], object] | None:
    name = str(folder)
    if not mount("--bind", name, name):
        return None
    undo = partial(subprocess.run, ["umount", "--lazy", name], check=True)
    if not mount("-o", "remount,bind,ro", name):  # someone opened a file here in between, to write
        undo()
        return None
    return undo
