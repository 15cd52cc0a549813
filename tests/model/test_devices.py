"""Devices are taken one at a time, waited for, and left; launches take what they use in order. Fake devices."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from breviary.model import devices

TWO = ["0", "1"]


def take(folder: Path, who: str = "train", **environment: str) -> tuple[AbstractContextManager[None], dict[str, str]]:
    return devices.taken(who, TWO, folder=folder, environment=environment, pause=0.01), environment


def test_each_stage_sees_a_device_of_its_own_and_gives_it_back(tmp_path: Path) -> None:
    first, one = take(tmp_path)
    second, two = take(tmp_path, CUDA_VISIBLE_DEVICES="0,1")
    with first:
        assert one == {devices.VISIBLE: "0"}
        with second:
            assert two == {devices.VISIBLE: "1"}
        third, three = take(tmp_path)
        with third:
            assert three == {devices.VISIBLE: "1"}
    assert (one, two) == ({}, {devices.VISIBLE: "0,1"})


def test_a_stage_waits_where_all_are_busy_and_says_who_has_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = take(tmp_path, "train_phase1")[0], take(tmp_path, "predict@base")[0]
    third, environment = take(tmp_path, "train_phase2")
    seen: list[str] = []

    def wait() -> None:
        with third:
            seen.append(environment[devices.VISIBLE])

    waiting = threading.Thread(target=wait)
    with first:
        with second:
            waiting.start()
            time.sleep(0.1)
            assert not seen
        waiting.join(10)
        assert seen == ["1"]
    said = capsys.readouterr().err
    mine = os.getpid()
    assert said == (
        f"train_phase2: every GPU is busy: 0 (train_phase1, process {mine}), 1 (predict@base, process {mine}); "
        "waiting for one\n"
    )


def test_a_machine_without_a_gpu_has_nothing_to_take(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    with devices.taken("train", [], folder=tmp_path / "never", environment=environment):
        assert environment == {}
    assert not (tmp_path / "never").exists()


def launched(rank: int) -> dict[str, str]:
    return {"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}


def test_the_first_process_of_a_launch_takes_all_and_the_others_wait_for_it(tmp_path: Path) -> None:
    """All in one process here, so that they have one parent."""
    order: list[str] = []

    def other() -> None:
        with take(tmp_path, **launched(1))[0]:
            order.append("other")

    waiting = threading.Thread(target=other)
    waiting.start()
    time.sleep(0.05)
    order.append("first")
    first, environment = take(tmp_path, **launched(0))
    with first:
        waiting.join(10)
        assert order == ["first", "other"]
        assert devices.VISIBLE not in environment  # the launcher gives each process its device
        assert all(devices.locks.acquire(devices._lock(tmp_path, each), wait=False) is None for each in TWO)


HOLD = """
import sys, time
from pathlib import Path
from breviary.model import devices
with devices.taken("killed", ["0"], folder=Path(sys.argv[1]), environment={}):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_killed_holder_leaves_nothing_behind(tmp_path: Path) -> None:
    environment: Mapping[str, Any] = {**os.environ, "PYTHONPATH": "src"}
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert devices.locks.acquire(devices._lock(tmp_path, "0"), wait=False) is None
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        mine: dict[str, str] = {}
        with devices.taken("next", ["0"], folder=tmp_path, environment=mine):
            assert mine == {devices.VISIBLE: "0"}


def test_devices_are_counted_where_none_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delattr(torch.cuda, "is_available")  # which wakes CUDA, that then sees every device for good
    assert devices.visible({}) == ["0", "1"]
    assert devices.visible({devices.VISIBLE: "3, GPU-1a2b"}) == ["3", "GPU-1a2b"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices.visible({devices.VISIBLE: "0"}) == []
