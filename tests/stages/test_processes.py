"""Two and four processes go through the whole curriculum as one does, through the entry points of the stages.

The processes add the same gradients in another order: a sum of n fp32 numbers is then off by some 6e-8 sqrt(n) of its
size. Adam divides by the root of its second moment, so that a weight feels the relative error of its own gradient; one
whose gradient is rounding alone could take a step of the learning rate either way. CLOSE is for stages in a row, each
of which starts from what the one before left. CrossCLR divides cosines by temperatures of 0.03 and 0.0035, which
enlarges their rounding thirty and three hundred times: CONTRASTED is for the phase that has it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from breviary import artifacts, config
from breviary.cli import overlays
from breviary.records import Example

ROOT = Path(__file__).resolve().parents[2]
CLOSE, CONTRASTED = 1e-5, 1e-4  # of the largest weight of a tensor, or of 1 where that is more
STAGES = (
    *(("train_phase1",), ("fisher_phase1",), ("subspace", "base"), ("subspace", "phase1"), ("train_phase2",)),
    *(("fisher_phase2",), ("subspace", "phase2"), ("train_phase3",)),
)
DRIVER = """
import json, os, runpy, sys
import torch
from breviary.errors import BreviaryError

together = int(os.environ.get("WORLD_SIZE", "1"))
assert together == int(sys.argv[3]), f"{together} processes were started"
for name, *arguments in json.loads(sys.argv[1]):
    if name != "subspace" or os.environ.get("RANK", "0") == "0":  # one process does it, as in dvc.yaml
        script = f"{sys.argv[2]}/stages/{name}.py"
        sys.argv[0], argv = script, sys.argv[0]
        runpy.run_path(script)["main"].main(arguments, standalone_mode=False)
        sys.argv[0] = argv
    if together > 1:
        assert torch.distributed.get_world_size() == together, "each process is on its own"
        torch.distributed.barrier()  # a launch of its own for each stage would wait like this
if torch.distributed.is_initialized():
    torch.distributed.destroy_process_group()
"""
LEFT = {
    **dict.fromkeys((f"models/phase{number}/adapter_model.safetensors" for number in (1, 2)), CLOSE),
    **dict.fromkeys((f"models/phase{number}_anchor/anchor.safetensors" for number in (1, 2)), CLOSE),
    **dict.fromkeys((f"models/phase3/{file}.safetensors" for file in ("adapter_model", "companions")), CONTRASTED),
}
TEXT = "the model reads a paper and says what it found in a few plain words about old stars"


def example(domain: str, number: int, partner: str = "") -> Example:
    words = TEXT.split()
    turned = words[number:] + words[:number]
    name, other = f"{domain}{number}", f"{partner}{number}" if partner else ""
    said = " ".join(reversed(turned)) if partner else ""
    kind = "pair" if partner else domain
    return Example(name, domain, kind, name, " ".join(turned), " ".join(turned[: 2 + number % 4]), said, other)


def prepare(folder: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with the profile `tiny`, whose stages before training have run."""
    folder.mkdir()
    for name in ("params.yaml", "profiles", "configs"):
        (folder / name).symlink_to(ROOT / name)
    monkeypatch.chdir(folder)
    text = overlays.applied("tiny")
    (folder / "params.yaml").unlink()
    artifacts.write_text(folder / "params.yaml", text)
    config.read(Path("params.yaml"))
    mixtures = Path("data/mixtures")
    artifacts.write_json(Path("models/base.json"), artifacts.read_json(tiny.record))
    artifacts.write_records(mixtures / "phase1.jsonl", [example("paper", number) for number in range(7)])
    for phase in (2, 3):
        mixed = [example("paper", phase), *(example("talk", number) for number in range(6))]
        artifacts.write_records(mixtures / f"phase{phase}.jsonl", mixed)
    artifacts.write_records(mixtures / "valid.jsonl", [example("talk", 9), example("paper", 8)])
    artifacts.write_records(mixtures / "pairs.jsonl", [example("paper", number, "talk") for number in range(6)])


def run(folder: Path, processes: int, cache: Path) -> None:
    (folder / "driver.py").write_text(DRIVER)
    words = [sys.executable]
    if processes > 1:
        words += ["-m", "accelerate.commands.launch", "--config_file", str(ROOT / "configs/accelerate/cpu.yaml")]
        words += ["--num_processes", str(processes)]
    mine = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "BREVIARY_CACHE": str(cache)}
    environment = {**os.environ, **mine, "BREVIARY_TRACKING": "later", "DVC_ROOT": str(folder)}
    done = subprocess.run(
        [*words, "driver.py", json.dumps(STAGES), str(ROOT), str(processes)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def alone(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process leaves."""
    folder = tmp_path_factory.mktemp("alone") / "project"
    with pytest.MonkeyPatch.context() as patch:
        prepare(folder, tiny, patch)
    run(folder, 1, tiny.cache)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_leave_the_curriculum_that_one_leaves(
    processes: int, alone: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of four examples in micro-batches of two: of four processes, two repeat with weight 0."""
    folder = tmp_path / "project"
    prepare(folder, tiny, monkeypatch)
    run(folder, processes, tiny.cache)
    for file, tolerance in LEFT.items():
        one, many = load_file(alone / file), load_file(folder / file)
        assert one.keys() == many.keys()
        for name, tensor in one.items():
            off = float((tensor - many[name]).abs().max()) / max(1.0, float(tensor.abs().max()))
            assert off < tolerance, f"{file}: {name}"
    lifted = load_file(alone / "models/phase3/adapter_model.safetensors")
    assert max(float(lifted[name].abs().max()) for name in lifted if "lora_B" in name) > 10 * CONTRASTED
    for stage in ("train_phase2", "train_phase3"):
        one, many = (
            artifacts.read_json(each / f"metrics/{stage}.json")["reports"]["after"] for each in (alone, folder)
        )
        assert one == pytest.approx(many, rel=1e-2, abs=1e-4)
