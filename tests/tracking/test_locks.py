"""Locks on files."""

import os
from pathlib import Path

from breviary.tracking import locks


def test_a_lock_is_held_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lock"
    first = locks.acquire(path, wait=False)
    assert first is not None
    assert locks.acquire(path, wait=False) is None
    os.close(first)
    second = locks.acquire(path, wait=True)
    assert second is not None
    os.close(second)


def test_a_lock_on_a_removed_file_protects_nothing_so_a_new_one_is_made(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    old = locks.acquire(path, wait=False)
    path.unlink()
    new = locks.acquire(path, wait=False)
    assert old is not None and new is not None
    assert locks.acquire(path, wait=False) is None
    os.close(old)
    os.close(new)


def test_locked_lets_go_when_its_block_raises(tmp_path: Path) -> None:
    try:
        with locks.locked(tmp_path / "lock"):
            raise KeyError
    except KeyError:
        handle = locks.acquire(tmp_path / "lock", wait=False)
    assert handle is not None
    os.close(handle)
