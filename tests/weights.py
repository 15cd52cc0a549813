"""Weights as tests need them: away from zero, moved a little, learned from, and compared by name."""

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


@torch.no_grad()
def disturb(weights: Mapping[str, Tensor], seed: int = 1) -> None:
    """Move each of `weights` a little, in place, as training does."""
    draw = torch.Generator().manual_seed(seed)
    for _, weight in sorted(weights.items()):
        weight += 0.05 * torch.randn(weight.shape, generator=draw)


def disturbed(model: Any) -> Any:
    """`model` with its adapter moved a little."""
    disturb(adapt.trainable(model))
    return model


def restless(model: Any) -> Any:
    """`model` in float64 with larger random weights, so that greedy decoding is not one token for ever."""
    made, draw = model.double(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=draw, dtype=weight.dtype)
    return made


def learn(model: Any, optimizer: torch.optim.Optimizer, steps: int, length: int = 20) -> list[float]:
    """The loss before each of `steps` steps on the same two texts."""
    ids, losses = torch.arange(2 * length).reshape(2, length), []
    for _ in range(steps):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], **tolerance: float) -> None:
    """The same names, and of each the same values; without a tolerance, that of torch.testing."""
    assert one.keys() == other.keys()
    for name, expected in one.items():
        torch.testing.assert_close(other[name], expected, msg=lambda said, name=name: f"{name}: {said}", **tolerance)
