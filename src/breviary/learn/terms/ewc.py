"""Elastic weight consolidation: each weight is held to where earlier phases left it, as hard as it mattered to them.

    penalty(w) = 1/2 sum_i F_i (w_i - a_i)^2,        d penalty / d w_i = F_i (w_i - a_i)

a: the anchor weights; F: the diagonal empirical Fisher measured there, over its mean (`learn/fisher.py`, and
`learn/anchors.py` for several phases). Kirkpatrick et al. 2017, arXiv:1612.00796, eq. 3, whose lambda is `weight`.

Taken once an optimiser step, however many micro-batches it has. The gradient is added in its closed form, which costs
one pass over the weights and no graph. A few weights have a Fisher thousands of times the mean; `clip_percentile`
lowers those to the value that so many per cent of all weights do not exceed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from breviary import config
from breviary.errors import ConfigError
from breviary.learn import anchors
from breviary.learn.objective import Given, Whole


class Options(config.Options):
    """How strong the hold is: lambda, of a Fisher whose mean is 1 for each phase that is kept."""

    weight: float = Field(gt=0)
    clip_percentile: float | None = Field(default=None, ge=50, le=100)  # per cent of all weights


@dataclass(frozen=True)
class Held:
    """One tensor of the adapter, and what holds it."""

    weight: Float[Tensor, "..."]
    anchor: Float[Tensor, "..."]
    fisher: Float[Tensor, "..."]


def build(options: Options, given: Given) -> Whole:
    """The term. Raises ConfigError where no phase came before, ArtifactError for the anchor of another adapter."""
    anchor = given.anchor()
    anchors.require_same(anchor, given.weights, "ewc's anchor")
    fisher = clipped(anchor.fisher, options.clip_percentile) if options.clip_percentile else anchor.fisher
    held = [
        Held(weight, anchor.weights[name].to(weight), fisher[name].to(weight)) for name, weight in given.weights.items()
    ]
    return Whole(
        options.weight,
        backward=lambda number, model: pull(held, options.weight),
        report=lambda model: report(held),
    )


@torch.no_grad()
def pull(held: Sequence[Held], weight: float) -> Float[Tensor, ""]:
    """The penalty; `weight` times its gradient is added to `.grad`, unless the penalty is not finite."""
    values, forces = [], []
    for each in held:
        away = each.weight - each.anchor
        forces.append(away * each.fisher)
        values.append(torch.dot(away.flatten(), forces[-1].flatten()))
    penalty = torch.stack(values).sum() / 2
    if torch.isfinite(penalty):
        for each, force in zip(held, forces, strict=True):
            if each.weight.grad is None:
                each.weight.grad = force.mul_(weight)
            else:
                each.weight.grad.add_(force, alpha=weight)
    return penalty


def clipped(fisher: Mapping[str, Tensor], percentile: float) -> dict[str, Tensor]:
    """`fisher` with nothing above the smallest value that `percentile` per cent of all weights do not exceed.

    Raises ConfigError where that value is zero: nothing would be held.
    """
    flat = torch.cat([values.detach().flatten().cpu() for values in fisher.values()])
    most = float(flat.kthvalue(ceil(percentile / 100 * len(flat))).values)  # quantile() refuses 16 million values
    if most <= 0:
        share = 100 * float((flat <= 0).double().mean())
        raise ConfigError(
            f"ewc.clip_percentile: {share:.4g} % of the Fisher is zero, and clipping it at the percentile "
            f"{percentile:g} would hold nothing; choose one above {share:.4g}, or null"
        )
    return {name: values.clamp(max=most) for name, values in fisher.items()}


@torch.no_grad()
def report(held: Sequence[Held]) -> dict[str, float]:
    """The penalty, and how far the weights are from the anchor: the root mean square of all, and by what matters."""
    away = [each.weight - each.anchor for each in held]
    squared = sum(float(each.square().sum(dtype=torch.float64)) for each in away)
    pairs = list(zip(held, away, strict=True))
    weighted = sum(float((each.fisher * distance.square()).sum(dtype=torch.float64)) for each, distance in pairs)
    fisher = sum(float(each.fisher.sum(dtype=torch.float64)) for each in held)
    return {
        "penalty": weighted / 2,
        "distance": sqrt(squared / sum(each.weight.numel() for each in held)),
        "distance_by_fisher": sqrt(weighted / fisher),
    }
