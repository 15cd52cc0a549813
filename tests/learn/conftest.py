"""What the tests of training share: the options of a short phase, and what its terms are built from."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def make_options() -> Callable[..., Any]:
    """A short phase; keyword arguments change it, those of `optimizer` one by one."""
    from breviary.learn.curriculum import Options

    def make(optimizer: dict[str, Any] | None = None, **changes: Any) -> Options:
        adam = {"kind": "adamw", "lr": 5e-3, "loraplus_ratio": 4.0, "weight_decay": 0.01} | (optimizer or {})
        known = {
            "epochs": 2,
            "batch": 4,
            "micro_batch": 2,
            "optimizer": adam,
            "schedule": {"kind": "cosine", "warmup_share": 0.1},
            "max_grad_norm": 1.0,
            "gradient_checkpointing": False,
            "terms": {"cross_entropy": {"weight": 1.0}},
            "validate_every": 2,
            "keep": "last",
            "checkpoint_every": 3,
            "max_nonfinite_share": 0.0,
        }
        return Options.model_validate(known | changes)

    return make


@pytest.fixture
def make_given(accelerator: Any) -> Callable[..., Any]:
    """What a phase offers to its terms: as little as there can be; keyword arguments change it."""
    from breviary.learn.objective import Given

    def nothing(*_: Any) -> Any:
        raise AssertionError("this phase has no such thing to offer")

    def make(**changes: Any) -> Given:
        known = {"weights": {}, "width": 64, "pad": 258, "accelerator": accelerator, "seed": 17}
        return Given(**known | {"anchor": nothing, "twins": nothing} | changes)

    return make
