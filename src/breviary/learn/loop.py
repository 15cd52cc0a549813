"""The training loop. All of it.

It takes one optimiser step for each list of micro-batches and yields what it measured; whoever iterates logs,
validates, checkpoints and stops. On `accelerate`, so that the same loop runs on one CPU, one GPU or many
processes: each process takes its share of the micro-batches, and a micro-batch weighs what its target tokens are of the
whole step's, so that neither accumulation nor the number of processes changes the gradient.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from breviary.data.batches import Batch
from breviary.errors import TrainingError
from breviary.learn import sharding
from breviary.learn.constrained import Constraint
from breviary.learn.forward import forward
from breviary.learn.objective import Terms, Whole, total


@dataclass(frozen=True)
class Measured:
    """What one optimiser step did."""

    step: int
    terms: dict[str, float]  # nats a token and the like, unweighted; NaN where it was never finite
    grad_norm: float  # of the adapter, before clipping
    lrs: dict[str, float]  # by parameter group
    target_tokens: int
    tokens: int  # without padding
    dropped: Counter[str] = field(default_factory=Counter)  # terms that were not finite, with how often
    examples: tuple[str, ...] = ()  # ids of this step, to name offenders


def train(
    model: Any,
    terms: Terms,
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    steps: Iterable[Sequence[Batch]],
    *,
    accelerator: Accelerator,
    max_grad_norm: float,
    first_step: int = 0,
    wholes: Mapping[str, Whole] = MappingProxyType({}),
    constraints: Sequence[Constraint] = (),
) -> Iterator[Measured]:
    """Train `model` on `steps`, each a list of micro-batches, and yield after each optimiser step."""
    for number, batches in enumerate(steps, first_step):
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * schedule(number)
        once = _whole_step(model, wholes, number, accelerator)
        tally = _micro_batches(model, terms, batches, accelerator)
        sharding.average(model, accelerator)  # where the backbone is in shards, nobody else does it
        for constraint in constraints:
            constraint.gradient()
        grad_norm = _clip(optimizer, wholes, accelerator, max_grad_norm)
        means, dropped = _read(tally, accelerator)
        dropped.update(name for name, value in once.items() if not math.isfinite(value))
        if _usable(grad_norm, batches, dropped):
            optimizer.step()
            for constraint in constraints:
                constraint.retract()
        optimizer.zero_grad(set_to_none=True)
        yield Measured(
            step=number,
            terms=means | once,
            grad_norm=grad_norm,
            lrs={group["name"]: group["lr"] for group in optimizer.param_groups},
            target_tokens=sum(batch.target_tokens for batch in batches),
            tokens=sum(int(batch.mask.sum()) for batch in batches),
            dropped=dropped,
            examples=tuple(name for batch in batches for name in batch.examples),
        )


def _whole_step(model: Any, wholes: Mapping[str, Whole], number: int, accelerator: Accelerator) -> dict[str, float]:
    """Add the gradients of the terms of the whole step; their values. The last micro-batch shares them with it."""
    with accelerator.no_sync(model):
        return {name: float(whole.backward(number, model)) for name, whole in wholes.items()}


def _micro_batches(model: Any, terms: Terms, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
    """Add the gradients of this process's micro-batches, each by its share of the targets; what `_count` counts."""
    tally = {name: torch.zeros(3, device=accelerator.device) for name in terms}
    for batch, share, last in _mine(batches, accelerator):
        with nullcontext() if last else accelerator.no_sync(model):
            loss, parts, lost = total(terms, forward(model, batch.to(accelerator.device)))
            if parts:
                accelerator.backward(loss * (share * accelerator.num_processes))  # DDP averages over processes
            elif accelerator.num_processes > 1:  # the others wait for this one's gradient
                accelerator.backward(_nothing(model))
        _count(tally, parts, lost, share)
    return tally


def _nothing(model: Any) -> Tensor:
    """A loss whose gradient is zero. Not by way of the forward pass: zero times a value that is not finite is not."""
    return torch.stack([0 * weight.flatten()[:1].sum() for weight in model.parameters() if weight.requires_grad]).sum()


def _clip(
    optimizer: torch.optim.Optimizer, wholes: Mapping[str, Whole], accelerator: Accelerator, limit: float
) -> float:
    """Clip the adapter's gradient, and apart from it that of each term's own weights; the norm of the adapter's."""
    own = [list(whole.trained.values()) for whole in wholes.values() if whole.trained]
    for weights in own:
        accelerator.clip_grad_norm_(weights, limit)
    theirs = {id(weight) for weights in own for weight in weights}
    adapter = [weight for group in optimizer.param_groups for weight in group["params"] if id(weight) not in theirs]
    norm: Any = accelerator.clip_grad_norm_(adapter, limit)
    return float(norm)


def _count(tally: Mapping[str, Tensor], parts: Mapping[str, Tensor], lost: Sequence[str], share: float) -> None:
    """Add one micro-batch to each term's (value times share, share, times lost)."""
    for name, value in parts.items():
        tally[name][0] += share * value
        tally[name][1] += share
    for name in lost:
        tally[name][2] += share > 0


def _read(tally: Mapping[str, Tensor], accelerator: Accelerator) -> tuple[dict[str, float], Counter[str]]:
    """Over all processes: each term's mean where it was finite (NaN if nowhere), and how often it was not."""
    summed: dict[str, Any] = {name: accelerator.reduce(counts, "sum") for name, counts in tally.items()}
    counts = {name: each.tolist() for name, each in summed.items()}
    means = {name: value / share if share else math.nan for name, (value, share, _) in counts.items()}
    return means, Counter({name: int(lost) for name, (_, _, lost) in counts.items() if lost})


def _mine(batches: Sequence[Batch], accelerator: Accelerator) -> Iterator[tuple[Batch, float, bool]]:
    """This process's micro-batches, each with its weight, and whether it is the last.

    Every process takes equally many (or the others would wait for its gradients for ever): one that has run out repeats
    the last with weight 0.
    """
    shares = token_shares(batches)
    rounds = math.ceil(len(batches) / accelerator.num_processes)
    for turn in range(rounds):
        index = turn * accelerator.num_processes + accelerator.process_index
        inside = index < len(batches)
        yield batches[index if inside else -1], shares[index] if inside else 0.0, turn == rounds - 1


def _usable(grad_norm: float, batches: Sequence[Batch], dropped: Counter[str]) -> bool:
    """Whether to take the step. Raises TrainingError where a finite loss has no gradient at all."""
    if math.isfinite(grad_norm) and grad_norm > 0:
        return True
    if grad_norm == 0 and not dropped:
        raise TrainingError(f"the gradient is zero for examples {', '.join(batches[0].examples)}: nothing is trained")
    dropped["gradient"] += 1
    return False


def token_shares(batches: Sequence[Batch]) -> list[float]:
    """Each micro-batch's share of the step's target tokens. Raises TrainingError if there is none."""
    counts = [batch.target_tokens for batch in batches]
    if not sum(counts):
        names = ", ".join(name for batch in batches for name in batch.examples)
        raise TrainingError(f"not one target token in a step of examples {names}")
    return [count / sum(counts) for count in counts]
