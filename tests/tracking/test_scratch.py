"""Folders for checkpoints."""

import os
import time
from pathlib import Path

from breviary.tracking import scratch
from breviary.tracking.locks import acquire


def test_a_key_finds_its_folder_again(tmp_path: Path) -> None:
    with scratch.claimed(tmp_path, "k") as folder:
        (folder / "checkpoint").write_text("3")
        first = scratch.session(folder)
    with scratch.claimed(tmp_path, "k") as folder:
        assert (folder / "checkpoint").read_text() == "3"
        assert scratch.session(folder) == (first[0], 1)
    assert first[1] == 0


def test_two_processes_with_one_key_do_not_share_a_folder(tmp_path: Path) -> None:
    with scratch.claimed(tmp_path, "k") as one, scratch.claimed(tmp_path, "k") as other:
        assert one != other
        assert scratch.session(one)[0] != scratch.session(other)[0]


def test_a_removed_folder_leaves_nothing(tmp_path: Path) -> None:
    with scratch.claimed(tmp_path, "k") as folder:
        folder.rmdir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_goes_while_it_is_looked_at_is_left_alone(tmp_path: Path) -> None:
    assert time.time() - scratch._changed(tmp_path / "gone") < 60


def test_only_old_folders_of_other_keys_that_nobody_holds_are_pruned(tmp_path: Path) -> None:
    ages = {"old": scratch.STALE + 60, "new": 60, "held": scratch.STALE + 60, "mine": scratch.STALE + 60}
    for name, age in ages.items():
        checkpoint = tmp_path / name / "checkpoint"
        checkpoint.parent.mkdir()
        checkpoint.write_text("x")
        os.utime(checkpoint, (time.time() - age, time.time() - age))
    handle = acquire(tmp_path / "held.lock", wait=False)
    with scratch.claimed(tmp_path, "mine"):
        assert sorted(path.name for path in tmp_path.glob("*/")) == ["held", "mine", "new"]
    assert handle is not None
    os.close(handle)
