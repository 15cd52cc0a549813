"""What the constraint is tested on: adapters of the tiny model and of a single matrix, and a short training of them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from breviary.learn import subspace
from breviary.learn.constrained import Constraint
from breviary.learn.constraints import orthogonal
from breviary.learn.subspace import Directions
from breviary.model import adapt, adapted, compute, optimizer
from breviary.model.adapters import lora
from tests.weights import disturb

TARGETS = ["q_proj", "v_proj", "down_proj"]
IDS = torch.arange(48).reshape(4, 12)
STEPS = 30
PAIR = ("m.lora_A.default.weight", "m.lora_B.default.weight")


def options(**changes: Any) -> orthogonal.Options:
    return orthogonal.Options.model_validate({"k": 4} | changes)


def bare(tiny: Any, quantisation: str) -> Any:
    """The tiny backbone as it is."""
    return compute.load(
        tiny.folder, compute.Options.model_validate({"precision": "fp32", "quantisation": quantisation})
    )


def made(tiny: Any, quantisation: str = "none", *, rank: int = 8, dropout: float = 0.0, trained: bool = False) -> Any:
    """The tiny backbone with an adapter, fresh or as a phase might leave it."""
    known = lora.Options(kind="lora", rank=rank, alpha=2.0 * rank, dropout=dropout, targets=TARGETS)
    model = adapt.create(bare(tiny, quantisation), known, 0).train()
    if trained:
        disturb(adapt.trainable(model))
    return model


def product(update: adapted.Update) -> Tensor:
    """The update, dense and in float64."""
    return update.scaling * update.b.double() @ update.a.double()


def protected(model: Any, k: int = 6) -> Callable[[str], dict[str, Directions]]:
    """What the stage `subspace` finds for the weights as they are when asked; more directions than are needed."""

    def find(of: str, each: adapted.Layer) -> Directions:
        if of == "update":
            return subspace.of_update(each.update.a, each.update.b, each.update.scaling, k)
        whole = each.weight().double() + (product(each.update) if of == "merged" else 0)
        return subspace.top_directions(whole, k)

    return lambda of: {module: find(of, each) for module, each in adapted.layers(model).items()}


def adam(weights: Mapping[str, Tensor], kind: str = "adamw", lr: float = 2e-3) -> torch.optim.Optimizer:
    """LoRA+ and a decay that is felt."""
    groups = optimizer.groups(weights, lr=lr, ratio=4.0, weight_decay=0.1)
    if kind == "sgd":
        return torch.optim.SGD([{**group, "lr": 50 * group["lr"]} for group in groups], momentum=0.9)
    return optimizer.create(kind, groups, (0.9, 0.999))


def train(
    loss: Callable[[], Tensor],
    weights: Mapping[str, Tensor],
    constraint: Constraint | None,
    steps: int = STEPS,
    kind: str = "adamw",
    retract: bool = True,
) -> list[float]:
    """As `loop.train` does it."""
    stepper, losses = adam(weights, kind), []
    for _ in range(steps):
        value = loss()
        value.backward()
        if constraint:
            constraint.gradient()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        stepper.step()
        if constraint and retract:
            constraint.retract()
        stepper.zero_grad()
        losses.append(float(value.detach()))
    return losses


def of_model(model: Any) -> Callable[[], Tensor]:
    return lambda: model(input_ids=IDS, labels=IDS).loss


def toy(out: int, into: int, rank: int, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """The factors of one matrix, both away from zero, and a dense matrix."""
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.randn(rank, into, generator=draw), torch.randn(out, rank, generator=draw)
    weights = {PAIR[0]: (0.3 * a).requires_grad_(), PAIR[1]: (0.3 * b).requires_grad_()}
    return weights, torch.randn(out, into, generator=draw)


def toy_loss(weights: Mapping[str, Tensor], goal: Tensor) -> Callable[[], Tensor]:
    return lambda: (weights[PAIR[1]] @ weights[PAIR[0]] - goal).square().mean()


def only(found: Directions) -> Callable[[str], dict[str, Directions]]:
    return lambda of: {"m": found}


def leaks(x: Tensor, found: Directions) -> tuple[float, float]:
    left, right, norm = found.left.double(), found.right.double(), x.norm()
    return float((left.T @ x).norm() / norm), float((x @ right).norm() / norm)
