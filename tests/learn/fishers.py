"""What the tests of the Fisher measure it with, and how close two of them have to be."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from breviary.data.batches import Row
from breviary.learn import fisher
from breviary.model import adapt
from tests.weights import wake

PAD = 258
Rows = Callable[..., list[Row]]


def trained(model: Any) -> Any:
    return wake(model, seed=0)


def measure(model: Any, rows: list[Row], accelerator: Any, **more: Any) -> fisher.Fisher:
    return fisher.diagonal(model, rows, adapt.trainable(model), pad=PAD, accelerator=accelerator, **more)


def assert_close(left: dict[str, Tensor], right: dict[str, Tensor], rtol: float) -> None:
    """Each value to `rtol` of itself, or of the largest in its tensor."""
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=rtol, atol=rtol * float(right[name].max()))
