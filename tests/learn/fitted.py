"""A phase watched from outside: how it is killed, and what is compared of it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from breviary.learn.checkpoint import Progress
from breviary.model import adapt

PAD = 258
Options = Callable[..., Any]
Run = Callable[..., Progress]


class Killed(Exception):
    pass


def weights(model: Any) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in adapt.trainable(model).items()}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """To the bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
