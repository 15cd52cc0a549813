"""The optimiser and its groups: LoRA+ sets the learning rate of B apart from that of A.

    lr_B = ratio * lr_A,   with one multiplicative schedule for both, so that the ratio never changes

Hayou et al. 2024, arXiv:2402.12354. Weight decay is a named argument of every group: PEFT's own
`create_loraplus_optimizer` ignores `weight_decay` (it wants `loraplus_weight_decay`, default 0).
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from breviary.errors import ModelError


def groups(weights: Mapping[str, Tensor], *, lr: float, ratio: float, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups A, B and the rest (vectors and modules trained beside the adapter: lr of A, vectors undecayed).

    Raises ModelError if ratio is not 1 and there is no B for it to act on.
    """
    named: dict[str, list[Tensor]] = {"A": [], "B": [], "matrices": [], "vectors": []}
    for name in sorted(weights):
        kind = "A" if ".lora_A." in name else "B" if ".lora_B." in name else None
        named[kind or ("matrices" if weights[name].ndim > 1 else "vectors")].append(weights[name])
    if ratio != 1 and not named["B"]:
        names = ", ".join(sorted(weights)[:3])
        raise ModelError(f"loraplus_ratio={ratio} has no lora_B to act on; trainable: {names}, ...")
    rates = {"B": ratio * lr}
    return [
        {
            "name": name,
            "params": found,
            "lr": rates.get(name, lr),
            "peak_lr": rates.get(name, lr),
            "weight_decay": 0.0 if name == "vectors" else weight_decay,
        }
        for name, found in named.items()
        if found
    ]


def create(kind: str, groups: list[dict[str, Any]], betas: tuple[float, float]) -> torch.optim.Optimizer:
    """AdamW in fp32, or with 8-bit (paged) state through bitsandbytes, arXiv:2110.02861."""
    if kind == "adamw":
        return torch.optim.AdamW(groups, betas=betas)
    from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit

    made = {"adamw_8bit": AdamW8bit, "paged_adamw_8bit": PagedAdamW8bit}[kind]
    return made(groups, betas=betas)


def schedule(kind: str, steps: int, warmup_share: float) -> Callable[[int], float]:
    """The share of the peak learning rate at each step (from 0): linear warm-up, then cosine, linear or flat."""
    warmup = math.ceil(warmup_share * steps)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, steps - warmup)
        return {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[kind]

    return share
