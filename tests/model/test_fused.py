"""A fused model computes what PEFT's own does, in every arithmetic, and leaves to PEFT what it does not know."""

import copy
import logging
from typing import Any

import pytest
import torch
from torch import Tensor

from breviary.model import adapt, compute, fused
from breviary.model.adapters import lora

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IDS = torch.arange(26).reshape(2, 13)
LAYERS = 2  # of the tiny backbone


def plain(tiny: Any, precision: str = "fp32", quantisation: str = "none", **changes: Any) -> Any:
    """A model as PEFT computes it, whose update is not zero."""
    arithmetic = compute.Options.model_validate({"precision": precision, "quantisation": quantisation})
    known = {"kind": "lora", "rank": 4, "alpha": 6.0, "dropout": 0.0, "targets": TARGETS}
    options = lora.Options.model_validate(known | changes)
    model = adapt.plain(compute.load(tiny.folder, arithmetic), options, 0).train()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in adapt.trainable(model).items():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=draw))
    return model


def installed(model: Any) -> list[str]:
    """The kinds of fused modules in it."""
    found = (type(vars(module).get("forward")) for module in model.modules())
    return sorted(kind.__name__ for kind in found if kind.__module__ == fused.__name__)


def learned(model: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and gradients of one pass."""
    output = model(input_ids=IDS.to(model.device), labels=IDS.to(model.device))
    output.loss.backward()
    return output.logits.detach(), {name: weight.grad.clone() for name, weight in adapt.trainable(model).items()}


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())


@pytest.mark.parametrize("targets", [TARGETS, ["q_proj", "down_proj"]])
@pytest.mark.parametrize("quantisation", ["none", "nf4", "int8"])
@pytest.mark.parametrize(("precision", "rounding"), [("fp32", 1e-5), ("bf16", 0.06)])
def test_outputs_and_gradients_are_pefts(
    quantisation: str, precision: str, rounding: float, targets: list[str], tiny: Any
) -> None:
    """In bf16 PEFT computes the update in fp32 and this in bf16: they differ by some of bf16's steps of 2^-8."""
    theirs = plain(tiny, precision, quantisation, targets=targets)
    ours = fused.install(plain(tiny, precision, quantisation, targets=targets))
    gated = LAYERS if targets == TARGETS else 0
    assert installed(ours) == ["Layer"] * LAYERS * len(targets) + ["Norm"] * (2 * LAYERS + 1) + ["Perceptron"] * gated
    (logits, gradients), (known, wanted) = learned(ours), learned(theirs)
    assert apart(logits, known) <= rounding
    assert gradients.keys() == wanted.keys()
    for name, gradient in gradients.items():
        assert gradient.dtype == wanted[name].dtype
        assert apart(gradient, wanted[name]) <= rounding, name


def test_dropout_is_that_of_the_options_and_checkpointing_draws_it_again(tiny: Any) -> None:
    model = fused.install(plain(tiny, dropout=0.5))
    again = copy.deepcopy(model)
    again.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    again.enable_input_require_grads()
    torch.manual_seed(5)
    logits, gradients = learned(model)
    torch.manual_seed(5)
    repeated, same = learned(again)
    torch.testing.assert_close(logits, repeated, rtol=0, atol=0)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, same[name], rtol=0, atol=0)
    torch.manual_seed(6)
    assert apart(learned(copy.deepcopy(model))[0], logits) > 1e-3
    without = [learned(copy.deepcopy(each).eval())[0] for each in (model, plain(tiny, dropout=0.5))]
    assert apart(*without) < 1e-5


def test_a_copy_computes_with_its_own_weights(tiny: Any) -> None:
    model = fused.install(plain(tiny))
    before = learned(model)[0]
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weight in adapt.trainable(other).values():
            weight.zero_()
    assert apart(learned(other)[0], before) > 1e-3
    assert apart(learned(model)[0], before) == 0


def test_a_switched_off_or_merged_adapter_is_pefts_affair(tiny: Any) -> None:
    model, known = fused.install(plain(tiny)), plain(tiny)
    with model.disable_adapter(), known.disable_adapter():
        torch.testing.assert_close(model(IDS).logits, known(IDS).logits, rtol=1e-5, atol=1e-5)
    before = model(IDS).logits
    model.merge_adapter()
    torch.testing.assert_close(model(IDS).logits, before, rtol=1e-4, atol=1e-4)
    model.unmerge_adapter()
    torch.testing.assert_close(model(IDS).logits, before, rtol=1e-4, atol=1e-4)


def test_another_adapter_is_left_to_peft_and_that_is_said_once(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    from peft import LoraConfig, TaskType, get_peft_model

    settings = LoraConfig(task_type=TaskType.CAUSAL_LM, r=4, target_modules=TARGETS, use_dora=True)
    model = get_peft_model(tiny.model(), settings)
    with caplog.at_level(logging.WARNING):
        fused.install(model)
    assert [record.message for record in caplog.records] == ["Linear is not fused: its adapter is not one plain LoRA"]
    assert installed(model) == ["Norm"] * (2 * LAYERS + 1)


def test_a_module_that_does_more_is_left_as_it_is(tiny: Any, caplog: pytest.LogCaptureFixture) -> None:
    """As a later version might: the probe finds it out."""
    model = plain(tiny)
    for module in model.modules():
        if type(module).__name__ == "LlamaMLP":
            module.act_fn = torch.nn.GELU()
        if type(module).__name__ == "LlamaRMSNorm":
            module.register_forward_hook(lambda *_: None)  # a hook is not the module's own affair
    with caplog.at_level(logging.WARNING):
        fused.install(model)
    (message,) = [record.message for record in caplog.records]
    assert message.startswith("LlamaMLP is not fused: it differs by ") and "Perceptron" not in installed(model)


def test_the_probe_leaves_weights_and_modes_alone(tiny: Any) -> None:
    model = plain(tiny, dropout=0.5)
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    torch.manual_seed(4)
    drawn = torch.get_rng_state()
    fused.install(model)
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("quantisation", ["none", "nf4", "int8"])
def test_it_is_the_same_on_a_gpu(quantisation: str, tiny: Any) -> None:
    theirs = plain(tiny, "bf16", quantisation, dropout=0.0)
    ours = fused.install(plain(tiny, "bf16", quantisation, dropout=0.0))
    (logits, gradients), (known, wanted) = learned(ours), learned(theirs)
    assert apart(logits, known) <= 0.06
    assert all(apart(gradient, wanted[name]) <= 0.06 for name, gradient in gradients.items())
    assert learned(fused.install(plain(tiny, "bf16", quantisation, dropout=0.3)))[0].isfinite().all()
