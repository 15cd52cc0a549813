"""LoRA+ groups as PEFT makes them, with a decay that is applied and a ratio that never changes."""

import math
from typing import Any

import pytest
import torch

from breviary.errors import ModelError
from breviary.model import adapt, optimizer
from tests.weights import learn

BETAS = (0.9, 0.999)


def made(model: Any, *, lr: float = 1e-3, ratio: float = 8.0, weight_decay: float = 0.1) -> list[dict[str, Any]]:
    return optimizer.groups(adapt.trainable(model), lr=lr, ratio=ratio, weight_decay=weight_decay)


def test_the_groups_are_those_of_peft(tiny: Any) -> None:
    from peft.optimizers import create_loraplus_optimizer

    model = tiny.adapted()
    theirs = create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=8.0, loraplus_weight_decay=0.1
    )
    ours = {id(weight): (group["lr"], group["weight_decay"]) for group in made(model) for weight in group["params"]}
    assert ours == {
        id(weight): (group["lr"], group["weight_decay"]) for group in theirs.param_groups for weight in group["params"]
    }
    assert len(ours) == len(adapt.trainable(model)) == 8


def test_what_is_trained_beside_the_adapter_has_the_rate_of_a(tiny: Any) -> None:
    weights = dict(tiny.adapted().named_parameters())
    chosen = {name: weight for name, weight in weights.items() if "lora" in name or "norm" in name or "embed" in name}
    groups = {group["name"]: group for group in optimizer.groups(chosen, lr=1e-3, ratio=4.0, weight_decay=0.1)}
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "A": (1e-3, 0.1),
        "B": (4e-3, 0.1),
        "matrices": (1e-3, 0.1),
        "vectors": (1e-3, 0.0),
    }
    assert sum(len(group["params"]) for group in groups.values()) == len(chosen)
    assert all(weight.ndim == 1 for weight in groups["vectors"]["params"])


@pytest.mark.parametrize("kind", ["adamw", "adamw_8bit"])
def test_one_step_without_gradient_shrinks_weights_by_rate_times_decay(kind: str, tiny: Any) -> None:
    model = tiny.adapted(rank=64)  # 4,096 weights a matrix: below that, bitsandbytes keeps its state in 32 bits
    weights = adapt.trainable(model)
    with torch.no_grad():
        for weight in weights.values():
            weight.fill_(1.0)
            weight.grad = torch.zeros_like(weight)
    optimizer.create(kind, made(model, lr=1e-2, ratio=8.0, weight_decay=0.1), BETAS).step()
    for name, weight in weights.items():
        rate = 1e-2 * (8.0 if ".lora_B." in name else 1.0)
        torch.testing.assert_close(weight.detach(), torch.full_like(weight, 1 - rate * 0.1), rtol=0, atol=1e-6)


def test_the_8bit_state_is_8_bits_and_learns(tiny: Any) -> None:
    model = tiny.adapted(rank=64)
    adam = optimizer.create("adamw_8bit", made(model, lr=1e-3), BETAS)
    losses = learn(model, adam, 4)
    assert losses == sorted(losses, reverse=True)
    assert all(state["state1"].dtype == torch.uint8 for state in adam.state.values())


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_the_ratio_is_constant_over_the_schedule(kind: str, tiny: Any) -> None:
    adam = optimizer.create("adamw", made(tiny.adapted(), ratio=8.0), BETAS)
    share = optimizer.schedule(kind, 20, 0.1)
    for step in range(20):
        rates = {group["name"]: group["peak_lr"] * share(step) for group in adam.param_groups}
        assert rates["B"] / rates["A"] == pytest.approx(8.0, rel=1e-12)
        assert rates["A"] > 0


def test_the_schedules_at_single_steps() -> None:
    cosine, linear, flat = (optimizer.schedule(kind, 12, 0.15) for kind in ("cosine", "linear", "constant"))
    assert [cosine(step) for step in (0, 1, 2)] == [0.5, 1.0, 1.0]  # ceil(0.15 * 12) = 2 steps of warm-up
    assert cosine(7) == pytest.approx(0.5) and cosine(11) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.9)))
    assert [linear(step) for step in (0, 2, 7, 11)] == pytest.approx([0.5, 1.0, 0.5, 0.1])
    assert [flat(step) for step in (0, 1, 2, 11)] == [0.5, 1.0, 1.0, 1.0]


def test_one_step_alone_has_the_full_rate() -> None:
    assert [optimizer.schedule("cosine", 1, share)(0) for share in (0.0, 0.5)] == [1.0, 1.0]


def test_a_ratio_without_b_is_refused(tiny: Any) -> None:
    weights = dict(tiny.model().named_parameters())
    with pytest.raises(
        ModelError, match=r"loraplus_ratio=8\.0 has no lora_B to act on; trainable: model\.embed_tokens"
    ):
        optimizer.groups(weights, lr=1e-3, ratio=8.0, weight_decay=0.0)
    groups = optimizer.groups(weights, lr=1e-3, ratio=1.0, weight_decay=0.0)
    assert {group["name"] for group in groups} == {"matrices", "vectors"}
