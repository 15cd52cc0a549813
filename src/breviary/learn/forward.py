"""One forward pass of a micro-batch: training, Fisher and likelihood all go through here."""

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
    """One forward pass; the output head runs on the last columns alone, where the labels are."""
    positions = (batch.mask.cumsum(-1) - 1).clamp(min=0)
    labels = batch.targets.shape[1]
    output = model(
        input_ids=batch.input_ids,
        attention_mask=batch.mask,
        position_ids=positions,
        logits_to_keep=labels,
        use_cache=False,
    )
    kept = batch.targets != IGNORED
    logits = output.logits[kept]
    rows = kept.nonzero()[:, 0]
    return Step(
        logits=logits.to(torch.promote_types(logits.dtype, torch.float32)),
        targets=batch.targets[kept],
        rows=rows,
        marked=None if batch.marked is None else batch.marked[kept],
        taught=None if batch.taught is None else Taught(batch.taught.ids[kept], batch.taught.log_p[kept]),
        weights=None if batch.weights is None else batch.weights[rows],
    )
