"""The penalty of EWC as the paper writes it, left to autograd: what the closed form is compared with."""

import torch
from torch import Tensor

from breviary.learn.anchors import Anchor


def formula(weights: dict[str, Tensor], anchor: Anchor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for name, weight in weights.items():
        total = total + 0.5 * (anchor.fisher[name] * (weight - anchor.weights[name]) ** 2).sum()
    return total
