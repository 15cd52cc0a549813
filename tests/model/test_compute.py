"""Backbones load frozen, in the precision asked for, and learn when quantised, on a processor without GPU."""

from typing import Any

import pytest
import torch

from breviary import config
from breviary.model import adapt, compute, student
from breviary.model.adapters import lora
from tests.weights import learn

LORA = lora.Options(kind="lora", rank=8, alpha=16.0, dropout=0.0, targets=["q_proj", "v_proj", "down_proj"])


def load(tiny: Any, precision: str = "fp32", quantisation: str = "none") -> Any:
    options = compute.Options.model_validate({"precision": precision, "quantisation": quantisation})
    return compute.load(tiny.folder, options)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_backbone_is_frozen_and_adapters_are_fp32(precision: str, dtype: torch.dtype, tiny: Any) -> None:
    model = load(tiny, precision)
    assert {weight.dtype for weight in model.parameters()} == {dtype}
    assert not any(weight.requires_grad for weight in model.parameters())
    adapted = adapt.trainable(adapt.create(model, LORA, 0))
    assert {weight.dtype for weight in adapted.values()} == {torch.float32}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_a_quantised_backbone_learns(quantisation: str, precision: str, tiny: Any) -> None:
    model = adapt.create(load(tiny, precision, quantisation), LORA, 0).train()
    assert {type(module).__name__ for _, module in model.named_modules()} & {"Linear4bit", "Linear8bitLt"}
    adam = torch.optim.AdamW(adapt.trainable(model).values(), lr=1e-2)
    losses = learn(model, adam, 5, length=30)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert losses[-1] < losses[0] - 0.05


def test_nf4_is_doubly_quantised(tiny: Any) -> None:
    model = load(tiny, "bf16", "nf4")
    state = model.model.layers[0].self_attn.q_proj.weight.quant_state
    assert (state.quant_type, state.nested, state.dtype) == ("nf4", True, torch.bfloat16)


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_a_quantised_backbone_has_as_many_weights(quantisation: str, tiny: Any) -> None:
    """Of four bits each, two of them share a byte."""
    assert student.parameters(load(tiny, "fp32", quantisation)) == student.parameters(load(tiny))


def test_the_makers_decoding_defaults_are_left_behind(tiny: Any, tmp_path: Any) -> None:
    import json
    import shutil

    folder = shutil.copytree(tiny.folder, tmp_path / "copy")
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_sample": True, "repetition_penalty": 9.0}))
    settings = compute.load(folder, compute.Options(precision="fp32", quantisation="none")).generation_config
    assert (settings.do_sample, settings.repetition_penalty) == (None, None)


def test_prepare_fixes_threads_seed_and_kernels() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    try:
        compute.prepare(config.Runtime(seed=5, threads=1))
        drawn = torch.rand(3)
        assert torch.get_num_threads() == 1 and torch.are_deterministic_algorithms_enabled()
        compute.prepare(config.Runtime(seed=5, threads=1))
        assert torch.equal(drawn, torch.rand(3))
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
        torch.use_deterministic_algorithms(False)
