"""One training process for each GPU: queue runs take turns, and none starves another of memory.

`dvc exp run --queue` with `dvc queue start -j 2` starts two stages at once, each of which would use GPU 0. A stage that
computes takes a device first: the first whose lock is free, and it shows torch no other. Where all are busy it says who
has them, and waits. The lock is the kernel's (flock): it is gone when its holder is, however that ended.

The processes of one `accelerate launch` use a device each: the first of them takes all, in order, so that no two
launches each hold what the other waits for; the others wait until it has.

The locks lie in the model cache, so that projects of one user on one machine know of each other. Without a GPU there is
nothing to take.
"""

import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from breviary.model import resolve
from breviary.tracking import locks

VISIBLE = "CUDA_VISIBLE_DEVICES"
PAUSE = 1.0  # seconds between two looks at devices that are all busy


@contextmanager
def taken(
    who: str,
    devices: Sequence[str] | None = None,
    *,
    folder: Path | None = None,
    environment: MutableMapping[str, str] = os.environ,
    pause: float = PAUSE,
) -> Iterator[None]:
    """Hold a device for the stage `who` during the block, or all that a launch uses.

    To be entered before anything touches CUDA, which reads CUDA_VISIBLE_DEVICES once. `devices` are the GPUs that there
    are, as CUDA_VISIBLE_DEVICES names them; None asks the machine.
    """
    found = visible(environment) if devices is None else devices
    where, before = folder or resolve.cache() / "devices", environment.get(VISIBLE)
    processes = int(environment.get("LOCAL_WORLD_SIZE", "1"))
    with ExitStack() as held:
        if processes == 1 and found:
            environment[VISIBLE] = _first_free(found, who, where, pause, held)
            held.callback(_restore, environment, before)
        elif environment.get("LOCAL_RANK", "0") == "0":
            for device in found[:processes]:
                _first_free([device], who, where, pause, held)
        else:
            _wait_for_first(found[:processes], where, pause)
        yield


def visible(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; none where there is no GPU.

    torch counts them through the driver's management library, which leaves CUDA itself alone; `is_available` would ask
    CUDA, which from then on keeps to the devices that it saw.
    """
    import torch

    if VISIBLE in environment and torch.cuda.device_count():
        return [each.strip() for each in environment[VISIBLE].split(",")]
    return [str(index) for index in range(torch.cuda.device_count())]


def _first_free(devices: Sequence[str], who: str, folder: Path, pause: float, held: ExitStack) -> str:
    """The first of `devices` whose lock is free, which `held` then holds; waits until there is one."""
    said = False
    while True:
        for device in devices:
            handle = locks.acquire(_lock(folder, device), wait=False)
            if handle is not None:
                held.callback(os.close, handle)
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()} {os.getppid()} {who}".encode(), 0)
                return device
        if not said:
            busy = ", ".join(f"{device} ({_holder(folder, device)})" for device in devices)
            print(f"{who}: every GPU is busy: {busy}; waiting for one", file=sys.stderr, flush=True)
            said = True
        time.sleep(pause)


def _wait_for_first(devices: Sequence[str], folder: Path, pause: float) -> None:
    """Wait until the first process of this launch, which has the same parent as this one, holds all `devices`."""
    while any(_read(folder, device)[1:2] != [str(os.getppid())] for device in devices):
        time.sleep(pause)


def _lock(folder: Path, device: str) -> Path:
    """Named after the machine too: several may share a home folder."""
    return folder / f"{platform.node()}-{device.replace('/', '_')}.lock"


def _holder(folder: Path, device: str) -> str:
    pid, _, who = [*_read(folder, device), "", "", ""][:3]
    return f"{who}, process {pid}" if who else "it has not said its name yet"


def _read(folder: Path, device: str) -> list[str]:
    """The process, its parent and the stage that hold a device, or held it last; nothing where none ever did."""
    with suppress(OSError):
        return _lock(folder, device).read_text(encoding="utf-8").split(" ", 2)
    return []


def _restore(environment: MutableMapping[str, str], before: str | None) -> None:
    if before is None:
        environment.pop(VISIBLE, None)
    else:
        environment[VISIBLE] = before
