"""Unlikelihood of repeats: at every target, tokens that the summary has already used are made less likely.

    L = 1/n sum_t sum_{c in C_t} -log(1 - p(c | everything before t))        C_t = {targets before t} - {target t}

C_t is a set, of the same summary alone: a token that came twice counts once, and the first target has none. Welleck et
al. 2019, arXiv:1908.04319, the token-level objective with the previous context as candidates; `window` keeps C_t to the
last tokens. The logits come already shifted (`Step`): one place later the token just written would be the target, and
so exempt, and a model that stammers would pay nothing.

1 - p is kept at 1e-6 or above, so that value and gradient are finite at p = 1; beyond that a repeat costs 13.8 nats and
has no slope.
"""

from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from breviary import config
from breviary.learn.forward import Step
from breviary.learn.objective import Given, Term

SMALLEST = 1e-6  # of 1 - p


class Options(config.Options):
    """Its weight in the sum of terms, and how far back it looks."""

    weight: float = Field(default=1.0, gt=0)
    window: int | None = Field(default=None, ge=1)  # previous tokens; null is the whole summary so far


def build(options: Options, given: Given) -> Term:
    """The term; it needs nothing but the step."""
    return partial(term, window=options.window)


def term(step: Step, window: int | None) -> Float[Tensor, ""]:
    """Summed over the candidates of a target, mean over targets.

    What is taken over the whole vocabulary is one log-softmax, as in cross-entropy; the rest is targets x reach.
    """
    tokens, counted = candidates(step.targets, step.rows, window)
    log_p = step.logits.log_softmax(-1).gather(1, tokens)
    costs = -torch.log1p(-log_p.exp().clamp(max=1 - SMALLEST))
    return costs.masked_fill(~counted, 0).sum() / len(step.targets)


def candidates(
    targets: Int[Tensor, " targets"], rows: Int[Tensor, " targets"], window: int | None
) -> tuple[Int[Tensor, "targets reach"], Bool[Tensor, "targets reach"]]:
    """For each target the token that stands 1, 2, ... places before it, and whether that one counts.

    Of a token's several occurrences the last before the target counts, which is inside the window if any is.
    """
    here = torch.arange(len(targets), device=targets.device)
    position = here - torch.searchsorted(rows, rows)  # within its row: rows ascend
    reach = min(int(position.max()), window or len(targets))
    back = torch.arange(1, reach + 1, device=targets.device)
    places = (here[:, None] - back).clamp(min=0)
    tokens = targets[places]
    last = _gap(targets)[places] >= back
    counted = (back <= position[:, None]) & (tokens != targets[:, None]) & last
    return tokens, counted


def _gap(targets: Int[Tensor, " targets"]) -> Int[Tensor, " targets"]:
    """How many places on the same token comes again; more than there are where it does not.

    Another row is no harm: what comes again there lies beyond every target that has this one as a candidate.
    """
    order = targets.argsort(stable=True)
    again = targets[order[1:]] == targets[order[:-1]]
    gap = torch.full_like(targets, len(targets))
    gap[order[:-1]] = torch.where(again, order[1:] - order[:-1], len(targets))
    return gap
