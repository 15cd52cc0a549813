"""A student without a block of layers: where it begins, what it keeps of its teacher, what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from breviary.errors import ConfigError
from breviary.model import adapt, depth, student
from breviary.model.adapters import lora
from breviary.model.student import Ground
from breviary.model.students import pruned

LORA = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.0, targets=["q_proj", "down_proj"])


def ground(tiny: Any, **changes: Any) -> Ground:
    known: dict[str, Any] = {"record": tiny.record, "backbone": tiny.model, "adapter": LORA, "teacher": None, "seed": 0}
    return Ground(**{**known, "loss": lambda model: 0.0, **changes})


def deeper(tiny: Any) -> Any:
    """Five layers; nothing is computed with them."""
    model = tiny.model()
    layers = depth.stack(model)
    layers.extend(type(layers[0])(model.config, number) for number in (2, 3, 4))
    model.config.num_hidden_layers = 5
    return model.requires_grad_(False)


def test_the_block_with_the_lowest_loss_is_left_out(tiny: Any) -> None:
    def loss(model: Any) -> float:
        assert len(depth.stack(model)) == 3
        return abs(int(depth.stack(model)[1].self_attn.q_proj.base_layer.weight.data_ptr() == second) - 0.5)

    whole = deeper(tiny)
    second = depth.stack(whole)[1].self_attn.q_proj.weight.data_ptr()
    options = pruned.Options(kind="pruned", layers=3, every=1)
    made = student.build(options, ground(tiny, backbone=lambda: whole, loss=loss))
    assert made.candidates == {1: 0.5, 2: 0.5} and made.removed == [1, 2] and made.layers == 5
    assert len(depth.stack(made.model)) == 3
    assert [layer.self_attn.layer_idx for layer in depth.stack(made.model)] == [0, 1, 2]


def test_the_choice_follows_the_losses(tiny: Any) -> None:
    losses = iter([2.0, 1.0, 3.0])
    options = pruned.Options(kind="pruned", layers=4, every=1)
    made = student.build(options, ground(tiny, backbone=lambda: deeper(tiny), loss=lambda model: next(losses)))
    assert made.candidates == {1: 2.0, 2: 1.0, 3: 3.0} and made.removed == [2]


def test_what_stays_starts_as_the_teacher(tiny: Any, tmp_path: Path) -> None:
    teacher = tiny.adapted()
    with torch.no_grad():
        for number, weight in enumerate(adapt.trainable(teacher).values()):
            weight.fill_(0.01 * number)
    adapt.save(teacher, tmp_path / "phase3", tiny.identity)
    options = pruned.Options(kind="pruned", layers=1, start=0)
    made = pruned.build(options, ground(tiny, teacher=tmp_path / "phase3"))
    theirs = {name: weight for name, weight in adapt.trainable(teacher).items() if ".layers.1." in name}
    ours = adapt.trainable(made.model)
    assert set(ours) == {name.replace(".layers.1.", ".layers.0.") for name in theirs}
    assert all(torch.equal(ours[name.replace(".layers.1.", ".layers.0.")], each) for name, each in theirs.items())


def test_leaving_nothing_out_is_refused(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r"distill\.student\.layers: the backbone has 2 layers, so that 2 leave none"):
        pruned.build(pruned.Options(kind="pruned", layers=2), ground(tiny))
