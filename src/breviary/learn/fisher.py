"""The diagonal empirical Fisher of the adapter's weights: how much each of them matters to what was learned.

    F_i = 1/N sum_n (d log p(y_n | x_n) / d w_i)^2,        log p(y | x) = sum_t log p(y_t | x, y_<t)

Empirical Fisher (labels from data): y_n is the reference summary and not a draw from the model, which the true Fisher
would ask for. Kirkpatrick et al. 2017, arXiv:1612.00796; sequences of tasks: Schwarz et al. 2018, arXiv:1805.06370,
and Huszar 2017, arXiv:1712.03847.

One example at a time: the square of a batch's mean gradient is another and smaller number, which depends on the batch
size. Summed over the target's tokens: a mean would make F depend on their number. The likelihood alone, without any
penalty or dropout. F belongs to this factorisation of the update into A and B: after a change of it, measure again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from breviary.data import batches
from breviary.data.batches import Row
from breviary.errors import SHOWN, TrainingError
from breviary.learn.forward import forward
from breviary.learn.surprise import surprise

Item = TypeVar("Item")


@dataclass(frozen=True)
class Fisher:
    """The diagonal by the adapter's own names, over `examples` examples."""

    diagonal: dict[str, Tensor]
    examples: int
    skipped: tuple[str, ...] = ()  # ids of those whose gradient was not finite; they do not count


def diagonal(
    model: Any,
    rows: Sequence[Row],
    weights: Mapping[str, Tensor],
    *,
    pad: int,
    accelerator: Accelerator,
    max_nonfinite_share: float = 0.0,
) -> Fisher:
    """The Fisher of `weights` over `rows`, of which each process takes its share. No `.grad` is read or written.

    Raises TrainingError for an adapter that was never trained, for too many examples whose gradient is not finite
    (with their ids), and where every gradient is zero.
    """
    _refuse_untrained(weights)
    mine = range(accelerator.process_index, len(rows), accelerator.num_processes)
    bar = tqdm(mine, desc="fisher", unit="example", disable=None if accelerator.is_main_process else True)
    with without_dropout(model):
        sums, lost = sum_of_squares(
            lambda index: log_likelihood(model, rows[index], pad, accelerator), iter(bar), weights
        )
    flags = torch.zeros(len(rows), device=accelerator.device)
    flags[lost] = 1
    every: Any = accelerator.reduce(flags, "sum")
    skipped = tuple(row.example for row, flag in zip(rows, every.tolist(), strict=True) if flag)
    counted = len(rows) - len(skipped)
    if not counted or len(skipped) > max_nonfinite_share * len(rows):
        raise TrainingError(_too_many(skipped, len(rows), max_nonfinite_share))
    reduced: Any = accelerator.reduce(sums, "sum")
    if not any(bool(total.any()) for total in reduced.values()):
        raise TrainingError(
            f"the Fisher of all {len(reduced)} weights ({', '.join(sorted(reduced)[:3])}, ...) is zero over {counted} "
            "examples: no gradient reaches this adapter; train the phase again before measuring it"
        )
    return Fisher({name: total / counted for name, total in reduced.items()}, counted, skipped)


def sum_of_squares(
    log_likelihood: Callable[[Item], Float[Tensor, ""]], items: Iterable[Item], weights: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[Item]]:
    """sum_n (d log_likelihood(item_n) / d w)^2 for each weight, at least in fp32, and the items left out of it.

    Left out are those with a gradient that is not finite, or too large for its square to be.
    """
    sums = {
        name: torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32), requires_grad=False)
        for name, weight in weights.items()
    }
    lost = []
    for item in items:
        found = torch.autograd.grad(log_likelihood(item), list(weights.values()), materialize_grads=True)
        gradients = [gradient.to(total.dtype) for gradient, total in zip(found, sums.values(), strict=True)]
        if not bool(nn.utils.get_total_norm(gradients).isfinite()):  # the one device sync
            lost.append(item)
            continue
        for total, gradient in zip(sums.values(), gradients, strict=True):
            total.addcmul_(gradient, gradient)
    return sums, lost


def log_likelihood(model: Any, row: Row, pad: int, accelerator: Accelerator) -> Float[Tensor, ""]:
    """log p(target | prompt) of one example in nats, summed over its tokens, in the arithmetic of training."""
    with accelerator.autocast():
        step = forward(model, batches.collate([row], pad).to(accelerator.device))
    return -surprise(step.logits, step.targets).sum()


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """No dropout inside the block, and the model in training mode: in `eval()` there is no gradient checkpointing.

    Attention layers hold their rate of dropout as a number and have no module for it.
    """
    modes = {module: module.training for module in model.modules()}
    rates = [
        (module, name, value)
        for module in modes
        for name, value in vars(module).items()
        if "dropout" in name and isinstance(value, float)
    ]
    try:
        for module in modes:
            module.training = not isinstance(module, nn.modules.dropout._DropoutNd)
        for module, name, _ in rates:
            setattr(module, name, 0.0)
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for module, name, value in rates:
            setattr(module, name, value)


def normalise(fisher: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """`fisher` divided by its mean over all weights, and that mean: so that a penalty's weight means the same for every
    model, phase and length of summary."""
    total = sum(float(each.sum(dtype=torch.float64)) for each in fisher.values())
    factor = total / sum(each.numel() for each in fisher.values())
    return {name: each / factor for name, each in fisher.items()}, factor


def _refuse_untrained(weights: Mapping[str, Tensor]) -> None:
    lifted = [weight for name, weight in weights.items() if ".lora_B." in name]
    if lifted and not any(bool(weight.detach().any()) for weight in lifted):
        raise TrainingError(
            f"all {len(lifted)} lora_B weights are zero: this adapter was never trained, and while B is zero the "
            "Fisher of A is zero as well; train the phase first, and measure the adapter that it leaves"
        )


def _too_many(skipped: Sequence[str], examples: int, limit: float) -> str:
    if not examples:
        return "there is not one example to measure the Fisher on; see metrics/mix.json"
    more = f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
    return (
        f"the gradient was not finite for {len(skipped)} of {examples} examples (max_nonfinite_share={limit}): "
        f"{', '.join(skipped[:SHOWN])}{more}; look at these documents, or try compute.precision: fp32"
    )
