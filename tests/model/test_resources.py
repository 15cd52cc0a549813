"""What there is, and refusals where it is too little."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from breviary.errors import ResourceError
from breviary.model import resources
from breviary.model.memory import GB, Estimate
from breviary.model.resources import Memory


def test_what_does_not_fit_is_refused_with_what_would_help() -> None:
    needed = Estimate(weights=8 * GB, adapter=0, activations=1 * GB, logits=0, runtime=1 * GB)
    resources.require("train_phase1", needed, Memory("RAM", 16 * GB, 12 * GB))
    with pytest.raises(ResourceError) as caught:
        resources.require("train_phase1", needed, Memory("RAM", 16 * GB, 8 * GB))
    assert str(caught.value) == (
        "train_phase1 needs about 11.0 GB, and RAM has 8.0 GB free of 16.0 (weights 8.0, adapter 0.0, activations 1.0, "
        "logits 0.0, runtime 1.0); choose compute.quantisation: nf4, compute.precision: bf16 or a smaller backbone"
    )
    with pytest.raises(ResourceError, match="set gradient_checkpointing: true"):
        resources.require("x", replace(needed, activations=90 * GB), Memory("RAM", 16 * GB, 8 * GB))


def test_what_there_is() -> None:
    found = resources.available()
    assert 0 < found.free <= found.size
    assert found.place


def test_each_process_of_a_launch_asks_its_own_gpu_and_counts_what_torch_holds_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "mem_get_info": lambda device: (10 + device, 40),
        "memory_reserved": lambda device: 9,
        "memory_allocated": lambda device: 2,
        "get_device_name": lambda device: f"GPU {device}",
    }
    for name, function in gpu.items():
        monkeypatch.setattr(torch.cuda, name, function)
    for rank, expected in (("0", Memory("GPU 0", 40, 17)), ("1", Memory("GPU 1", 40, 18))):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert resources.available() == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"memory.max": "1000\n", "memory.current": "400\n"}, (1000, 400)),
        ({"memory.max": "max\n", "memory.current": "400\n"}, (sys.maxsize, 0)),
        ({"memory/memory.limit_in_bytes": "10", "memory/memory.usage_in_bytes": "4"}, (10, 4)),
        ({}, (sys.maxsize, 0)),
        # the content of files is given back when memory is needed
        (
            {
                "memory.max": "1000",
                "memory.current": "400",
                "memory.stat": "anon 150\nfile 250\nactive_file 100\ninactive_file 120\nshmem 30\n",
            },
            (1000, 180),
        ),
        (
            {
                "memory/memory.limit_in_bytes": "10",
                "memory/memory.usage_in_bytes": "4",
                "memory/memory.stat": "active_file 9\ntotal_active_file 1\ntotal_inactive_file 2\n",
            },
            (10, 1),
        ),
    ],
)
def test_a_container_may_have_less_than_its_machine(
    names: dict[str, str], expected: tuple[int, int], tmp_path: Path
) -> None:
    for name, content in names.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert resources._container(tmp_path) == expected


def test_a_disk_that_is_too_small_is_refused(tmp_path: Path) -> None:
    resources.require_disk("base_model", tmp_path / "new" / "folder", 1000)
    with pytest.raises(ResourceError, match=r"base_model needs 1000000.0 GB of disk, and .* has \d"):
        resources.require_disk("base_model", tmp_path, 10**15)
