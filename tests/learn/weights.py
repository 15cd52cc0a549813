"""Adapter weights as tests of training need them: away from zero, and compared by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from breviary.model import adapt


def wake(model: Any, seed: int) -> Any:
    """`model` with B as if it had been trained: B is zero at first, and then no gradient reaches A."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapt.trainable(model).items():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=draw))
    return model


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], **tolerance: float) -> None:
    """The same names, and of each the same values; without a tolerance, that of torch.testing."""
    assert one.keys() == other.keys()
    for name, expected in one.items():
        torch.testing.assert_close(other[name], expected, msg=lambda said, name=name: f"{name}: {said}", **tolerance)
