"""Advisory locks on files; the kernel drops them when the holder dies, so a killed process never leaves one behind."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock `path` during the block; wait for it as long as it takes."""
    handle = acquire(path, wait=True)
    assert handle is not None
    try:
        yield
    finally:
        os.close(handle)


def acquire(path: Path, *, wait: bool) -> int | None:
    """A file descriptor that holds the lock until it is closed; None if another process has it and `wait` is false."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # another process removed the folder just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            return None
        if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
        os.close(handle)  # its last holder removed the file while we waited: what we hold protects nothing
