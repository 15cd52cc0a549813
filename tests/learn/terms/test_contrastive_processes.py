"""A contrastive step is the same in two processes: embeddings gathered, gradients shared, one queue."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

DISTRIBUTED = """
import sys
from pathlib import Path
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from breviary.learn.objective import Given
from breviary.learn.terms import contrastive
from breviary.data.views import Twin, View
from breviary.model import adapt, compute
from breviary.model.adapters import lora

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
accelerator = Accelerator(cpu=True)
model = compute.load(folder, compute.Options(precision="fp32", quantisation="none"))
target = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.3, targets=["q_proj", "down_proj"])
model = adapt.create(model, target, 0).train()
trained = adapt.trainable(model)
for number, weight in enumerate(trained.values()):
    weight.data.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(number)) / 10)
words = lambda side, number: [(number * 31 + ord(side) * k) % 256 for k in range(4 + number)]
view = lambda side, number: View(f"{side}{number}", [9, 8, *words(side, number)], 2)
twins = [Twin(view("l", number), view("r", number)) for number in range(7)]
given = Given(weights=trained, width=64, pad=258, accelerator=accelerator, seed=3, anchor=None, twins=lambda _: twins)
options = contrastive.Options(weight=0.5, dimensions=8, pairs=4, micro_batch=3, max_tokens=16, queue=7)
term = contrastive.build(options, given)
adam = torch.optim.SGD([*trained.values(), *term.trained.values()], lr=0.05)
prepared, _ = accelerator.prepare(model, adam)
reports = [term.report(prepared)]
values = []
for number in range(5):
    with accelerator.no_sync(prepared):
        values.append(float(term.backward(number, prepared)))
    shared = prepared(input_ids=torch.tensor([[1, 2]])).logits.sum() * 0  # stands for the last micro-batch of a step
    accelerator.backward(shared)
    adam.step()
    adam.zero_grad()
reports.append(term.report(prepared))
if accelerator.is_main_process:
    kept = {**trained, **term.trained, **term.buffers}
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in kept.items()}, out)
    print(accelerator.num_processes, values, [each["cosine_gap"] for each in reports])
accelerator.end_training()
"""


@pytest.mark.slow
def test_two_processes_do_what_one_does(tiny: Any, tmp_path: Path, launch: Callable[..., str]) -> None:
    """Eight texts in pieces of three: three pieces, so that one process reads one in vain; dropout on."""
    said = []
    for number in (1, 2):
        processes, numbers = launch(DISTRIBUTED, number, tiny.folder, tmp_path / str(number)).split(" ", 1)
        assert processes == str(number)
        said.append([float(value) for value in numbers.replace("[", "").replace("]", ",").split(",") if value.strip()])
    assert said[0] == pytest.approx(said[1], rel=1e-4, abs=1e-5)
    first, second = (load_file(tmp_path / number) for number in "12")
    assert max(float((first[name].float() - second[name].float()).abs().max()) for name in first) < 1e-4
