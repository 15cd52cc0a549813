"""The weight under an adapter is the one that the layer multiplies with, (out, in), and reading it changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from breviary import artifacts
from breviary.errors import ArtifactError, ModelError
from breviary.model import adapt, adapted, compute
from breviary.model.adapters import lora
from tests.weights import disturbed

TARGETS = ["q_proj", "v_proj", "down_proj"]
IDS = torch.arange(24).reshape(2, 12)
WEIGHTS = "adapter_model.safetensors"


def made(tiny: Any, precision: str, quantisation: str, **changes: Any) -> Any:
    arithmetic = compute.Options.model_validate({"precision": precision, "quantisation": quantisation})
    known = {"kind": "lora", "rank": 4, "alpha": 6.0, "dropout": 0.0, "targets": TARGETS}
    return adapt.create(compute.load(tiny.folder, arithmetic), lora.Options.model_validate(known | changes), 0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("quantisation", "rounding"), [("none", 0.0), ("nf4", 0.0), ("int8", 0.002)])
def test_the_weight_is_what_the_layer_multiplies_with(
    quantisation: str, rounding: float, precision: str, tiny: Any
) -> None:
    """int8 rounds its input too, and the result to the compute precision: to a share of 0.002."""
    model = made(tiny, precision, quantisation)
    modules = dict(model.named_modules())
    found = adapted.layers(model)
    assert len(found) == 2 * len(TARGETS)
    for module, layer in found.items():
        weight = layer.weight()
        base = modules[module].get_base_layer()
        assert weight.dtype == torch.float32 and weight.shape == layer.update.size[:2]
        assert not weight.requires_grad
        identity = torch.eye(weight.shape[1], dtype=getattr(torch, {"fp32": "float32", "bf16": "bfloat16"}[precision]))
        with torch.no_grad():
            product = base(identity).T.float()
        assert (product - weight).norm() <= rounding * weight.norm()


@pytest.mark.parametrize("quantisation", ["none", "nf4", "int8"])
def test_reading_weights_leaves_the_model_as_it_was(quantisation: str, tiny: Any) -> None:
    """PEFT's `dequantize_module_weight` breaks the next forward pass of an int8 layer on a CPU."""
    model = disturbed(made(tiny, "fp32", quantisation))
    with torch.no_grad():
        before = model(input_ids=IDS).logits
        read = {module: layer.weight() for module, layer in adapted.layers(model).items()}
        assert torch.equal(model(input_ids=IDS).logits, before)
    assert all(torch.equal(layer.weight(), read[module]) for module, layer in adapted.layers(model).items())


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")
def test_gpt2_keeps_its_weights_the_other_way_round() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=1, n_head=2))
    options = lora.Options(kind="lora", rank=2, alpha=4.0, dropout=0.0, targets=["c_attn", "c_proj"])
    model = disturbed(adapt.create(model, options, 0))
    modules = dict(model.named_modules())
    found = adapted.layers(model)
    assert {layer.update.size[:2] for layer in found.values()} == {(48, 16), (16, 16), (16, 64)}  # (16, 16) is square
    for module, layer in found.items():
        x = torch.randn(3, layer.update.size[1], generator=torch.Generator().manual_seed(2))
        whole = layer.weight() + layer.update.scaling * layer.update.b @ layer.update.a
        with torch.no_grad():
            torch.testing.assert_close(modules[module](x), x @ whole.T + modules[module].get_base_layer().bias)


def test_names_are_those_of_the_trainable_weights(tiny: Any) -> None:
    weights = adapt.trainable(made(tiny, "fp32", "none"))
    names = adapted.pairs(weights)
    assert sorted(name for pair in names.values() for name in pair) == sorted(weights)
    for module, (a, b) in names.items():
        assert (a, b) == (f"{module}.lora_A.default.weight", f"{module}.lora_B.default.weight")
    assert names.keys() == adapted.layers(made(tiny, "fp32", "none")).keys()


@pytest.mark.parametrize("stabilised", [False, True])
def test_the_stored_update_is_that_of_the_loaded_model(stabilised: bool, tiny: Any, tmp_path: Path) -> None:
    model = disturbed(made(tiny, "fp32", "none", rank_stabilised=stabilised))
    adapt.save(model, tmp_path / "adapter", "weights")
    live, kept = adapted.layers(model), adapted.stored(tmp_path / "adapter", "weights")
    assert live.keys() == kept.keys()
    modules = dict(model.named_modules())
    for module, update in kept.items():
        same = live[module].update
        assert torch.equal(update.a, same.a) and torch.equal(update.b, same.b) and update.scaling == same.scaling
        assert update.size == same.size
        torch.testing.assert_close(update.scaling * update.b @ update.a, modules[module].get_delta_weight("default"))


def test_weights_that_are_no_low_rank_update_are_refused(tiny: Any) -> None:
    with pytest.raises(ModelError, match=r"^no lora_A among the adapter's weights: head\.weight, \.\.\.$"):
        adapted.pairs({"head.weight": 0})
    weights = adapt.trainable(made(tiny, "fp32", "none"))
    half = {name: weight for name, weight in weights.items() if ".lora_A." in name}
    with pytest.raises(ModelError, match=r"layers\.0\.mlp\.down_proj\.lora_B\.default\.weight, .* missing among"):
        adapted.pairs(half)


@pytest.fixture
def saved(tiny: Any, tmp_path: Path) -> Path:
    adapt.save(made(tiny, "fp32", "none"), tmp_path / "adapter", "weights")
    return tmp_path / "adapter"


def test_a_stored_adapter_of_other_weights_is_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match="trained on backbone weights weights, not on other; run `dvc repro`"):
        adapted.stored(saved, "other")


def test_a_damaged_stored_adapter_is_refused(saved: Path) -> None:
    whole = (saved / WEIGHTS).read_bytes()
    (saved / artifacts.SEAL).unlink()  # as earlier versions left it
    (saved / WEIGHTS).write_bytes(whole[:90])
    with pytest.raises(ArtifactError, match=r"adapter: damaged adapter .*; delete it and run the stage that writes it"):
        adapted.stored(saved, "weights")
    (saved / WEIGHTS).unlink()
    with pytest.raises(ArtifactError, match=f"{WEIGHTS} missing"):
        adapted.stored(saved, "weights")


def test_a_stored_adapter_without_b_is_refused(saved: Path) -> None:
    held = load_file(saved / WEIGHTS)
    (saved / artifacts.SEAL).unlink()
    save_file({name: weight for name, weight in held.items() if ".lora_A." in name}, saved / WEIGHTS)
    with pytest.raises(ModelError, match=r"lora_B\.weight, .* missing among the adapter's weights"):
        adapted.stored(saved, "weights")


@pytest.mark.parametrize("change", [{"peft_type": "ADALORA"}, {"rank_pattern": {"q_proj": 2}}])
def test_another_kind_of_stored_adapter_is_refused(change: dict[str, Any], saved: Path) -> None:
    settings = artifacts.read_json(saved / "adapter_config.json") | change
    (saved / artifacts.SEAL).unlink()
    artifacts.write_json(saved / "adapter_config.json", settings)
    with pytest.raises(ModelError, match="only adapters of kind lora with one rank and one alpha"):
        adapted.stored(saved, "weights")
