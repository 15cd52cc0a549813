"""The same phase twice gives the same bytes; on a GPU, what stands in the way of that is named."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from breviary import config
from breviary.model import determinism
from breviary.model.determinism import WORKSPACE

TRAIN = """
import hashlib, json, random, sys
from pathlib import Path
from types import SimpleNamespace
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from breviary import config
from breviary.data.batches import Row
from breviary.learn import fit
from breviary.learn.curriculum import Options
from breviary.learn.objective import Objective
from breviary.learn.terms import cross_entropy
from breviary.model import adapt, compute
from breviary.model.adapters import lora

folder, out, cases = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
draw = random.Random(0)
token = lambda most: [draw.randrange(256) for _ in range(draw.randint(1, most))]
rows = [Row(f"e{index}", token(60), [*token(30), 257]) for index in range(10)]
options = Options.model_validate(dict(
    epochs=1, batch=4, micro_batch=2, optimizer=dict(kind="adamw", lr=5e-3, loraplus_ratio=4.0, weight_decay=0.01),
    schedule=dict(kind="cosine", warmup_share=0.1), max_grad_norm=1.0, gradient_checkpointing=False,
    terms=dict(cross_entropy=dict(weight=1.0)), validate_every=9, keep="last", checkpoint_every=9,
    max_nonfinite_share=0.0))
found = {}
for precision, quantisation, threads in cases:
    compute.prepare(config.Runtime(seed=3, threads=threads))
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if precision == "bf16" else "no")
    model = compute.load(folder, compute.Options(precision=precision, quantisation=quantisation))
    target = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.1, targets=["q_proj", "down_proj"])
    model = adapt.create(model, target, 0).train()
    name = f"{precision} {quantisation} {threads}"
    fit.fit(model, options, rows[:-2], {"x": rows[-2:]}, accelerator=accelerator, pad=258, seed=1,
            objective=Objective({"cross_entropy": (1.0, cross_entropy.term)}, {}), constraints={},
            scratch=out / name / "scratch", log=lambda values, step: None)
    adapt.save(model, out / name / "adapter", "weights")
    file = out / name / "adapter" / "adapter_model.safetensors"
    found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    AcceleratorState._reset_state(reset_partial_state=True)
print(json.dumps(found))
"""
CASES = [("fp32", "none", 1), ("fp32", "none", 2), ("bf16", "none", 1), ("bf16", "none", 2), ("bf16", "nf4", 2)]


@pytest.mark.slow
def test_a_phase_gives_the_same_bytes_again(tiny: Any, tmp_path: Path) -> None:
    """In two processes, in fp32, bf16 and 4 bits, with one thread and with two, dropout included."""
    found = []
    for attempt in ("first", "second"):
        words = [sys.executable, "-c", TRAIN, str(tiny.folder), str(tmp_path / attempt), json.dumps(CASES)]
        environment = {**os.environ, "PYTHONPATH": "src"}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads(done.stdout.splitlines()[-1]))
    assert found[0] == found[1]
    assert len(found[0]) == len(CASES)
    assert len({digest for name, digest in found[0].items() if name.endswith("1")}) == 2, "fp32 is bf16"


def level(**changes: Any) -> determinism.Level:
    known: dict[str, Any] = {"gpu": True, "strict": True, "workspace": ":4096:8", "threads": 2, "processes": 1}
    return determinism.level(**known | changes)


def test_a_processor_is_bitwise_and_says_with_how_many_threads() -> None:
    found = level(gpu=False, strict=False, workspace=None)
    assert (found.name, found.reason) == ("bitwise", "on the CPU, with 2 threads")
    assert level(gpu=False, processes=4).reason == "on the CPU, with 2 threads in each of 4 processes"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"strict": False}, "runtime.bitwise: true"),
        ({"workspace": None}, "CUBLAS_WORKSPACE_CONFIG is not one of :4096:8, :16:8"),
        ({"processes": 8}, "NCCL adds the gradients of 8 processes in an order of its own choice"),
        ({"foreign": True}, "bitsandbytes"),
    ],
)
def test_a_gpu_is_bitwise_only_where_nothing_stands_in_the_way(change: dict[str, Any], reason: str) -> None:
    assert level().name == "bitwise"
    found = level(**change)
    assert found.name == "statistical" and reason in found.reason


def test_all_that_stands_in_the_way_is_named_at_once() -> None:
    found = level(strict=False, workspace="x", processes=2, foreign=True)
    assert found.reason.count(";") == 4  # one of them inside a reason
    assert found.tags() == {"determinism": "statistical", "determinism.reason": found.reason}


@pytest.mark.parametrize(("gpu", "bitwise", "strict"), [(True, True, True), (True, False, False), (False, True, False)])
def test_torch_refuses_rather_than_warns_where_bits_are_asked_of_a_gpu(
    gpu: bool, bitwise: bool, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    environment: dict[str, str] = {}
    try:
        determinism.enforce(config.Runtime(seed=1, threads=1, bitwise=bitwise), environment)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled() is not strict
        assert environment == ({WORKSPACE: ":4096:8"} if strict else {})
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_level_of_this_machine_follows_from_params(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKSPACE, raising=False)
    asked = config.Runtime(seed=1, threads=3, bitwise=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert determinism.of(asked, quantisation="none").name == "bitwise"
    assert "bitsandbytes" in determinism.of(asked, quantisation="nf4").reason
    assert "bitsandbytes" in determinism.of(asked, quantisation="none", optimizer="adamw_8bit").reason
    assert "runtime.bitwise" in determinism.of(config.Runtime(seed=1, threads=3), quantisation="none").reason
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert determinism.of(config.Runtime(seed=1, threads=3), quantisation="nf4").name == "bitwise"
