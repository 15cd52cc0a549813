"""Two processes measure the Fisher that one does, and are held by it alike."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.learn.fishers import assert_close

DISTRIBUTED = """
import random, sys
from pathlib import Path
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from breviary.data import batches
from breviary.data.batches import Row
from breviary.learn import fisher, loop, objective
from breviary.learn.anchors import Anchor
from breviary.learn.objective import Given
from breviary.model import adapt, compute, optimizer
from breviary.model.adapters import lora

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
draw = random.Random(0)
token = lambda most: [draw.randrange(256) for _ in range(draw.randint(1, most))]
rows = [Row(f"e{index}", token(24), [*token(9), 257]) for index in range(7)]
accelerator = Accelerator(cpu=True)
model = compute.load(folder, compute.Options(precision="fp32", quantisation="none"))
target = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.5, targets=["q_proj", "down_proj"])
model = adapt.create(model, target, 0).train()
weights = adapt.trainable(model)
generator = torch.Generator().manual_seed(1)
with torch.no_grad():
    for weight in weights.values():
        weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
plain = fisher.log_likelihood
broken = {"e3": float("nan")}
fisher.log_likelihood = lambda model, row, *more: plain(model, row, *more) * broken.get(row.example, 1.0)
found = fisher.diagonal(model, rows, weights, pad=258, accelerator=accelerator, max_nonfinite_share=0.5)
held, factor = fisher.normalise(found.diagonal)
anchor = Anchor({name: weight.detach() + 0.05 for name, weight in weights.items()}, held)
for module in model.modules():
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.0
given = Given(weights=weights, width=64, pad=258, accelerator=accelerator, seed=0, anchor=lambda: anchor,
              twins=lambda most: [])
built = objective.build({"cross_entropy": {"weight": 1.0}, "ewc": {"weight": 0.5}}, given)
adam = optimizer.create("adamw", optimizer.groups(weights, lr=1e-2, ratio=1.0, weight_decay=0.0), (0.9, 0.999))
prepared, adam = accelerator.prepare(model, adam)
steps = [list(batches.micro_batches(rows, 2, 258))] * 3
done = list(loop.train(prepared, built.terms, adam, lambda step: 1.0, steps, accelerator=accelerator,
                       max_grad_norm=1.0, wholes=built.wholes))
if accelerator.is_main_process:
    tensors = {f"fisher/{name}": each for name, each in found.diagonal.items()}
    save_file(tensors | {f"weights/{name}": each.detach() for name, each in weights.items()}, out)
    print(accelerator.num_processes, found.examples, found.skipped, *(f"{each.terms['ewc']:.4f}" for each in done))
accelerator.end_training()
"""


@pytest.mark.slow
def test_two_processes_measure_and_hold_what_one_does(tiny: Any, tmp_path: Path, launch: Callable[..., str]) -> None:
    """Seven examples, of which one is not finite; then three steps with a penalty."""
    files = [tmp_path / f"{number}.safetensors" for number in (1, 2)]
    said = [launch(DISTRIBUTED, number, tiny.folder, file) for number, file in enumerate(files, 1)]
    assert said[0].startswith("1 6 ('e3',) ") and said[1].startswith("2 6 ('e3',) ")
    assert said[0][1:] == said[1][1:]
    first, second = (load_file(file) for file in files)
    assert_close(first, second, 1e-5)
