"""A student with a smaller adapter on the same backbone."""

from typing import Any

import pytest

from breviary.errors import ConfigError
from breviary.model import student
from breviary.model.adapters import lora
from breviary.model.student import Ground
from breviary.model.students import adapter

LORA = lora.Options(kind="lora", rank=8, alpha=16.0, dropout=0.0, targets=["q_proj"])


def ground(tiny: Any) -> Ground:
    return Ground(tiny.record, tiny.model, LORA, teacher=None, loss=lambda model: 0.0, seed=3)


def test_it_has_the_rank_that_was_asked_for_and_the_rest_of_the_section(tiny: Any) -> None:
    made = student.build(adapter.Options(kind="adapter", rank=2, alpha=6.0), ground(tiny))
    config = made.model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.target_modules) == (2, 6.0, {"q_proj"})
    assert made.layers == 2 and made.removed == []
    count = student.parameters(made.model)
    assert count["adapter"] == 2 * 2 * (64 + 64) and count["all"] > 10_000


def test_one_that_is_not_smaller_is_refused(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r"distill\.student\.rank: 8 is no smaller than adapter\.rank=8; lower it"):
        adapter.build(adapter.Options(kind="adapter", rank=8, alpha=6.0), ground(tiny))
