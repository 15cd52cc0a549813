"""LoRA through PEFT: the update starts at nothing, is scaled as its options say, and is drawn from its seed."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from breviary.errors import ConfigError
from breviary.model import adapt
from breviary.model.adapters import lora

IDS = torch.arange(24).reshape(2, 12)


def options(**changes: Any) -> lora.Options:
    known = {"kind": "lora", "rank": 4, "alpha": 16.0, "dropout": 0.0, "targets": ["q_proj", "v_proj"]}
    return lora.Options.model_validate(known | changes)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in adapt.trainable(model).items()}


def test_training_starts_at_the_backbone(tiny: Any) -> None:
    with torch.no_grad():
        before = tiny.model()(input_ids=IDS).logits
        assert torch.equal(lora.create(tiny.model(), options(), 0)(input_ids=IDS).logits, before)


def test_only_a_and_b_of_the_targets_are_trained(tiny: Any) -> None:
    found = weights(lora.create(tiny.model(), options(), 0))
    assert len(found) == 2 * 2 * 2  # A and B, of two layers, of two targets
    assert all((".q_proj." in name or ".v_proj." in name) and ".lora_" in name for name in found)
    assert all(bool(weight.any()) is (".lora_A." in name) for name, weight in found.items())


@pytest.mark.parametrize(("stabilised", "scale"), [(False, 16 / 4), (True, 16 / 2)])
def test_the_update_is_scaled(stabilised: bool, scale: float, tiny: Any) -> None:
    model = lora.create(tiny.model(), options(rank_stabilised=stabilised), 0)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.copy_(torch.randn(b.shape, generator=torch.Generator().manual_seed(1)))
        torch.testing.assert_close(layer(x), layer.base_layer(x) + scale * x @ a.T @ b.T)


def test_the_seed_alone_decides(tiny: Any) -> None:
    torch.manual_seed(1)
    first = weights(lora.create(tiny.model(), options(), 5))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, other = (weights(lora.create(tiny.model(), options(), seed)) for seed in (5, 6))
    assert torch.equal(torch.get_rng_state(), before)  # and nobody else's draws are moved
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_unknown_targets_are_listed_beside_the_real_ones(tiny: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        lora.create(tiny.model(), options(targets=["q_proj", "query", "wo"]), 0)
    assert str(refused.value) == (
        "adapter.targets: no linear layer is called query, wo; "
        "this backbone has down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj"
    )


@pytest.mark.parametrize("target", ["self_attn", "norm"])
def test_what_is_no_linear_layer_is_no_target(target: str, tiny: Any) -> None:
    with pytest.raises(ConfigError, match=f"no linear layer is called {target}; this backbone has down_proj"):
        lora.create(tiny.model(), options(targets=[target]), 0)


@pytest.mark.parametrize("changes", [{"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}, {"targets": []}, {"r": 4}])
def test_options_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        options(**changes)
