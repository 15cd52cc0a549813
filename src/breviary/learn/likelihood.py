"""How likely a model finds given targets, each token after all those that truly come before it (teacher forcing).

    nats(target) = - sum_t log p(target_t | prompt, target_<t)

The forward pass is that of training (`forward.py`), so that nats a token are the validation loss. Dropout is the
caller's: hand over a model in evaluation mode.

A batch holds at most `POSITIONS` target positions, whatever its rows: logits are the largest tensor (a vocabulary for
each position). One row with more targets than that goes alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from breviary.data.batches import Row, collate
from breviary.learn.forward import forward
from breviary.learn.surprise import surprise

POSITIONS = 1024  # with 49,152 words 0.6 GB of logits


def nats(model: Any, rows: Sequence[Row], *, batch_size: int, pad: int) -> Iterator[dict[str, float]]:
    """The summed nats of each row's target, by the row's example, one batch after another, longest rows first."""
    for planned in batches(rows, batch_size, POSITIONS):
        batch = collate(planned, pad).to(model.device)
        with torch.inference_mode():
            step = forward(model, batch)
            each = surprise(step.logits, step.targets).double()
            summed = each.new_zeros(len(planned)).index_add(0, step.rows, each)
        yield dict(zip(batch.examples, summed.tolist(), strict=True))


def batches(rows: Sequence[Row], size: int, positions: int) -> list[list[Row]]:
    """The rows in batches of like length, of at most `size` rows and, where there are several, `positions` targets."""
    planned: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: (-len(row), row.example)):
        joined = [*planned[-1], row] if planned else [row]
        if len(joined) > 1 and len(joined) <= size and _labels(joined) <= positions:
            planned[-1] = joined
        else:
            planned.append([row])
    return planned


def _labels(rows: Sequence[Row]) -> int:
    """Positions of the rectangle that `rows` make."""
    return len(rows) * max(len(row.target) for row in rows)
