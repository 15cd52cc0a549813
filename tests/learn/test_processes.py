"""Two processes take the steps that one takes, uneven numbers of micro-batches and lost terms included."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

DISTRIBUTED = """
import random, sys
from dataclasses import replace
from pathlib import Path
import torch
from accelerate import Accelerator
from breviary.data.batches import Row
from breviary.learn import fit, loop
from breviary.learn.objective import Objective
from breviary.learn.terms import cross_entropy
from breviary.learn.curriculum import Options
from breviary.model import adapt, compute
from breviary.model.adapters import lora

folder, out, broken = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "broken"
torch.set_num_threads(1)
draw = random.Random(0)
token = lambda most: [draw.randrange(256) for _ in range(draw.randint(1, most))]
rows = [Row(f"e{index}", token(24), [*token(9), 257]) for index in range(14)]
if broken:  # one micro-batch of a step overflows: the others must not wait for its gradient for ever, nor get its NaN
    worst, forward = max(len(row.target) for row in rows), loop.forward
    def overflowing(*given):
        step = forward(*given)
        longest = (step.targets == 257).nonzero().flatten().diff(prepend=torch.tensor([-1])).max()
        return replace(step, logits=step.logits * (float("nan") if longest == worst else 1.0))
    loop.forward = overflowing
options = Options.model_validate(dict(
    epochs=2, batch=5, micro_batch=2, optimizer=dict(kind="adamw", lr=5e-3, loraplus_ratio=4.0, weight_decay=0.01),
    schedule=dict(kind="cosine", warmup_share=0.1), max_grad_norm=1.0, gradient_checkpointing=False,
    terms=dict(cross_entropy=dict(weight=1.0)), validate_every=2, keep="last", checkpoint_every=2,
    max_nonfinite_share=1.0))
accelerator = Accelerator(cpu=True)
model = compute.load(folder, compute.Options(precision="fp32", quantisation="none"))
target = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "down_proj"])
model = adapt.create(model, target, 0).train()
progress = fit.fit(model, options, rows[:-2], {"x": rows[-2:]}, accelerator=accelerator, pad=258, seed=1,
                   objective=Objective({"cross_entropy": (1.0, cross_entropy.term)}, {}), constraints={},
                   scratch=out / "scratch", log=lambda values, step: None)
if accelerator.is_main_process:
    adapt.save(model, out / "adapter", "weights")
    print(accelerator.num_processes, progress.dropped, [row.get("loss/cross_entropy") for row in progress.curve])
accelerator.end_training()
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", ["whole", "broken"])
def test_two_processes_train_what_one_does(case: str, tiny: Any, tmp_path: Path, launch: Callable[..., str]) -> None:
    """Five rows in micro-batches of two are three: one process runs out and repeats with weight 0."""
    said = [launch(DISTRIBUTED, number, tiny.folder, tmp_path / str(number), case) for number in (1, 2)]
    assert said[0].startswith("1 ") and said[1].startswith("2 ")
    assert ("'cross_entropy'" in said[0]) is (case == "broken")
    first, second = (load_file(tmp_path / number / "adapter" / "adapter_model.safetensors") for number in "12")
    assert max(float((first[name] - second[name]).abs().max()) for name in first) < 1e-6
    assert max(float(first[name].abs().max()) for name in first if "lora_B" in name) > 1e-3
    counts, losses = zip(*(line[2:].split(" [") for line in said), strict=True)
    assert counts[0] == counts[1]
    one, two = ([float(item) for item in each.rstrip("]").split(", ") if item != "None"] for each in losses)
    assert one == pytest.approx(two, abs=1e-5)


SHARED = """
from pathlib import Path
from accelerate import Accelerator
from accelerate.utils import gather_object
from breviary.learn import fit

accelerator = Accelerator(cpu=True)
found = gather_object([str(fit._shared(Path(f"key.{accelerator.process_index}")))])
if accelerator.is_main_process:
    print(*found)
accelerator.end_training()
"""


@pytest.mark.slow
def test_all_processes_go_on_from_the_checkpoint_of_the_first(launch: Callable[..., str]) -> None:
    """It may have found the folder of its key in use, and have taken another one."""
    assert launch(SHARED, 2).strip() == "key.0 key.0"
