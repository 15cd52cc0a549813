"""Layers left out of a backbone: what is left computes what a model built without them does, cached and not."""

from pathlib import Path
from typing import Any

import pytest
import torch

from breviary import artifacts
from breviary.errors import ArtifactError, ConfigError, ModelError
from breviary.model import adapt, depth

IDS = torch.tensor([[256, 65, 66, 67, 68, 69, 70]])


def built(tiny: Any, layers: list[int]) -> Any:
    """A Llama of these layers of the tiny one, made by hand."""
    from transformers import LlamaForCausalLM

    whole = tiny.model()
    settings = type(whole.config)(**whole.config.to_dict() | {"num_hidden_layers": len(layers)})
    settings._attn_implementation = "sdpa"
    made = LlamaForCausalLM(settings)
    state = {}
    for name, tensor in whole.state_dict().items():
        if ".layers." not in name:
            state[name] = tensor
        for new, old in enumerate(layers):
            if f".layers.{old}." in name:
                state[name.replace(f".layers.{old}.", f".layers.{new}.")] = tensor
    made.load_state_dict(state)
    return made.eval()


def test_nothing_left_out_is_the_same_model(tiny: Any) -> None:
    assert torch.equal(depth.cut(tiny.model(), 1, 0)(IDS).logits, tiny.loaded(IDS).logits)


@pytest.mark.parametrize("start", [0, 1])
def test_a_layer_left_out_gives_the_model_built_without_it(tiny: Any, start: int) -> None:
    cut = depth.cut(tiny.model(), start, 1)
    assert cut.config.num_hidden_layers == 1
    assert torch.equal(cut(IDS).logits, built(tiny, [1 - start])(IDS).logits)
    assert not torch.equal(cut(IDS).logits, tiny.loaded(IDS).logits)


def test_generation_with_the_cache_is_generation_without_it(tiny: Any) -> None:
    cut = depth.cut(tiny.model(), 0, 1).eval()
    assert [module.layer_idx for module in cut.modules() if hasattr(module, "layer_idx")] == [0]
    settings = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 258, "attention_mask": torch.ones_like(IDS)}
    with_cache, without = (cut.generate(IDS, use_cache=use, **settings) for use in (True, False))
    assert torch.equal(with_cache, without)
    assert torch.equal(with_cache, built(tiny, [1]).generate(IDS, **settings))
    assert len(cut(IDS, use_cache=True).past_key_values.layers) == 1


def test_layers_left_out_for_a_while_come_back(tiny: Any) -> None:
    model = tiny.model()
    with depth.left_out(model, 0, 1):
        assert len(depth.stack(model)) == model.config.num_hidden_layers == 1
    assert [layer.self_attn.layer_idx for layer in depth.stack(model)] == [0, 1]
    assert torch.equal(model(IDS).logits, tiny.loaded(IDS).logits)


def test_lists_of_the_config_lose_the_same_layers(tiny: Any) -> None:
    model = tiny.model()
    model.config.layer_types = ["full_attention", "sliding_attention"]
    with depth.left_out(model, 0, 1):
        assert model.config.layer_types == ["sliding_attention"]
    assert model.config.layer_types == ["full_attention", "sliding_attention"]


def test_an_adapter_loads_with_the_layers_that_it_was_trained_on(tiny: Any, tmp_path: Path) -> None:
    model = depth.cut(tiny.adapted(), 0, 1)
    with torch.no_grad():
        for weight in adapt.trainable(model).values():
            weight.add_(0.1)
    adapt.save(model, tmp_path / "student", tiny.identity)
    depth.save(tmp_path / "student", 2, [0])
    loaded = adapt.load(tiny.model(), tmp_path / "student", tiny.identity, trainable=False)
    assert torch.equal(loaded.eval()(IDS).logits, model.eval()(IDS).logits)
    assert sum(path.stat().st_size for path in (tmp_path / "student").iterdir()) < 100_000  # no weights of the base
    with pytest.raises(ModelError, match="was trained on backbone weights"):
        adapt.load(tiny.model(), tmp_path / "student", "other", trainable=False)


@pytest.mark.parametrize(
    "said",
    [
        *({"layers": 3, "removed": [0]}, {"layers": 2, "removed": []}, {"layers": 2}),
        *([], {"layers": 2, "removed": 1}, {"layers": 2, "removed": ["0"]}, {"layers": 2, "removed": {"0": 1}}),
    ],
)
def test_a_record_of_other_layers_is_refused(tiny: Any, tmp_path: Path, said: dict[str, Any]) -> None:
    artifacts.write_json(tmp_path / depth.FILE, said)
    with pytest.raises(ArtifactError, match="of a backbone with 2; delete the folder"):
        depth.restore(tiny.model(), tmp_path)


def test_gaps_in_what_is_left_out_are_refused(tiny: Any, tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / depth.FILE, {"layers": 2, "removed": [0, 2]})
    with pytest.raises(ArtifactError, match=r"layers \[0, 2\] of 2 are left out"):
        depth.restore(tiny.model(), tmp_path)


@pytest.mark.parametrize(("start", "count"), [(0, 2), (2, 1), (-1, 1), (1, 2)])
def test_layers_that_are_not_there_cannot_be_left_out(tiny: Any, start: int, count: int) -> None:
    with pytest.raises(ConfigError, match="cannot be left out of 2"):
        depth.cut(tiny.model(), start, count)


def test_candidates_leave_the_first_and_the_last_layer() -> None:
    assert depth.candidates(30, 6, 4) == [1, 5, 9, 13, 17, 21]
    assert depth.candidates(5, 3, 1) == [1]
    with pytest.raises(ConfigError, match="no block of 4 layers lies between the first and the last of 5"):
        depth.candidates(5, 4, 1)
