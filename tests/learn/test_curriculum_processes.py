"""Two processes go through a phase with every method as one does: Fisher summed, embeddings gathered, one adapter."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from breviary import artifacts
from tests.learn.examples import SECTION, example

RUN = """
import os, sys
from pathlib import Path
import torch
from breviary import config, tracking
from breviary.learn import decompose, phase, phase_fisher
from breviary.stage import Stage

def stage(name):
    params = config.read(Path("params.yaml"), {key: config.SECTIONS[key] for key in SECTIONS})
    return Stage(name, params, tracking.Run(name, Path("scratch", name), None), params)

SECTIONS = ["runtime", "compute", "adapter", "prompt", "mix", "pairs", "subspace"]
SECTIONS += ["fisher_phase1", "train_phase1", "train_phase2"]
if sys.argv[1] == "before":
    phase.run(stage("train_phase1"), "phase1", None)
    decompose.run(stage("subspace@base"), "base")
    decompose.run(stage("subspace@phase1"), "phase1")
else:
    phase_fisher.run(stage("fisher_phase1"), "phase1", None)
    together = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    assert together == int(os.environ.get("WORLD_SIZE", "1")), "each process is on its own"
    if together > 1:
        torch.distributed.barrier()
    phase.run(stage("train_phase2"), "phase2", "phase1")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
"""
TERMS = {
    "cross_entropy": {"weight": 1.0},
    "ewc": {"weight": 0.05},
    "contrastive": {"weight": 0.1, "pairs": 3, "micro_batch": 2, "max_tokens": 24, "queue": 3, "dimensions": 8},
    "unlikelihood": {"weight": 0.1},
}


def prepare(folder: Path, tiny: Any, make_options: Any, of: str) -> None:
    """A project whose stages before training have run, and whose phase 2 uses every method."""
    mixtures = folder / "data/mixtures"
    artifacts.write_json(folder / "models/base.json", artifacts.read_json(tiny.record))
    artifacts.write_records(mixtures / "phase1.jsonl", [example("paper", number) for number in range(6)])
    mixed = [example("paper", 1), *(example("talk", number) for number in range(6))]
    artifacts.write_records(mixtures / "phase2.jsonl", mixed)
    artifacts.write_records(mixtures / "valid.jsonl", [example("talk", 9), example("paper", 8)])
    artifacts.write_records(mixtures / "pairs.jsonl", [example("paper", number, "talk") for number in range(5)])
    held = {"orthogonal": {"k": 2, "of": of}}
    phase = {f"phase{n}": {"examples": 6, "shares": {"paper": 0.5, "talk": 0.5}} for n in (1, 2, 3)}
    values = {
        "runtime": {"seed": 17, "threads": 1},
        "compute": {"precision": "fp32", "quantisation": "none"},
        "adapter": {"kind": "lora", "rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": ["q_proj", "down_proj"]},
        "prompt": {"style": "plain", "max_tokens": 192, "max_summary_tokens": 32},
        "mix": {**phase, "max_repetitions": 2, "reservoir": 0.5},
        "pairs": SECTION,
        "subspace": {"k": 2, "of": ["update"]},
        "fisher_phase1": {"examples": 5, "merge": "none"},
        "train_phase1": make_options().model_dump(),
        "train_phase2": make_options(terms=TERMS, constraints=held).model_dump(),
    }
    (folder / "params.yaml").write_text(json.dumps(values))


@pytest.mark.slow
@pytest.mark.parametrize("of", ["base", "update"])
def test_two_processes_go_through_a_phase_as_one_does(
    of: str, tiny: Any, make_options: Any, tmp_path: Path, launch: Callable[..., str]
) -> None:
    for number in (1, 2):
        folder = tmp_path / str(number)
        prepare(folder, tiny, make_options, of)
        for part, processes in (("before", 1), ("after", number)):
            launch(RUN, processes, part, folder=folder, BREVIARY_CACHE=str(tiny.cache))
    anchors, adapters, heads = (
        [load_file(tmp_path / number / "models" / file) for number in "12"]
        for file in (
            "phase1_anchor/anchor.safetensors",
            "phase2/adapter_model.safetensors",
            "phase2/companions.safetensors",
        )
    )
    for one, two in (anchors, adapters, heads):
        assert one.keys() == two.keys()
        for name, tensor in one.items():
            assert float((tensor - two[name]).abs().max()) < 1e-5 * max(1.0, float(tensor.abs().max())), name
    one, two = (artifacts.read_json(tmp_path / number / "metrics/train_phase2.json") for number in "12")
    assert one["reports"]["after"].keys() == two["reports"]["after"].keys()
    assert one["reports"]["after"]["orthogonal/leak_left_max"] < 1e-5
    assert one["reports"]["after"]["contrastive/cosine_gap"] == pytest.approx(
        two["reports"]["after"]["contrastive/cosine_gap"], abs=1e-3
    )
