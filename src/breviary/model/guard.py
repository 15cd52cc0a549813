"""Stops writing in time: after the last token that can still be finished before the answer is due.

A step cannot be interrupted. Whether there is time for one more is judged by the longest of the last few, so that the
overrun is what a step exceeds those by: less than one token's time. The prompt is read in one step, which nothing can
shorten once it has begun; that there is time for it is for a plan to say (`summarise/budget.py`).
"""

from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import StoppingCriteria

from breviary.errors import BudgetError
from breviary.model.limit import Limit

REMEMBERED = 3  # steps


class Guard(StoppingCriteria):
    """Ends all rows of a batch when time is up, or when nobody waits any more. For one call of `generate`.

    Raises BudgetError if there is no time left to begin with.
    """

    def __init__(self, limit: Limit) -> None:
        if (left := limit.left_ms) <= 0:
            raise BudgetError(
                f"the time was over {-left:.0f} ms before the model could begin (it was asked {limit.spent_ms:.0f} ms "
                "before); raise the number of milliseconds"
            )
        self.limit = limit
        self.steps: list[float] = []  # ms, the last ones; the first, which read the prompt, is not among them
        self.before: float | None = None  # ms after the request, when the last step ended

    def __call__(self, input_ids: Int[Tensor, "batch time"], scores: Any, **_: Any) -> Bool[Tensor, " batch"]:
        """True for every row when no further token fits."""
        now = self.limit.spent_ms
        if self.before is not None:
            self.steps = [*self.steps[1 - REMEMBERED :], now - self.before]
        self.before = now
        stop = self.limit.left_ms <= max(self.steps, default=0.0) or self.limit.cancelled()
        return torch.full((input_ids.shape[0],), stop, dtype=torch.bool, device=input_ids.device)
