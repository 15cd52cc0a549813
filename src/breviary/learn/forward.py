"""One forward pass of a micro-batch: training, Fisher and likelihood all go through here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from breviary.data.batches import IGNORED, Batch, Taught


@dataclass(frozen=True)
class Step:
    """What one forward pass produced, at the positions that carry a label. Terms read it; nothing writes it."""

    logits: Float[Tensor, "targets vocab"]  # fp32, already shifted: row i predicts targets[i]
    targets: Int[Tensor, " targets"]
    rows: Int[Tensor, " targets"]  # which example of the micro-batch each target belongs to, ascending
    marked: Bool[Tensor, " targets"] | None = None  # targets inside a word of the lexicon, where there is one
    taught: Taught | None = None  # what a teacher expected at each target, where one was asked
    weights: Float[Tensor, " targets"] | None = None  # how much each target counts, where that differs; 1 on average


def forward(model: Any, batch: Batch) -> Step:
    """One forward pass; the output head runs where the labels are, and nowhere else."""
    positions = (batch.mask.cumsum(-1) - 1).clamp(min=0)
    kept = batch.targets != IGNORED
    with _head_on(model, kept):
        logits = model(
            input_ids=batch.input_ids,
            attention_mask=batch.mask,
            position_ids=positions,
            logits_to_keep=kept.shape[1],
            use_cache=False,
        ).logits
    rows = kept.nonzero()[:, 0]
    return Step(
        logits=logits.to(torch.promote_types(logits.dtype, torch.float32)),
        targets=batch.targets[kept],
        rows=rows,
        marked=None if batch.marked is None else batch.marked[kept],
        taught=None if batch.taught is None else Taught(batch.taught.ids[kept], batch.taught.log_p[kept]),
        weights=None if batch.weights is None else batch.weights[rows],
    )


@contextmanager
def _head_on(model: Any, kept: Bool[Tensor, "batch labels"]) -> Iterator[None]:
    """Inside, the output head reads the hidden states that are `kept`, of the last columns that it is given.

    The model selects whole columns (`logits_to_keep`), and rows have labels of unlike number.
    """
    head = getattr(model, "module", model).get_output_embeddings()  # `module`: inside what makes it run on many devices
    handle = head.register_forward_pre_hook(lambda _, given: (given[0][kept],))
    try:
        yield
    finally:
        handle.remove()
