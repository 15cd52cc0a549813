"""What a phase may be, said before any model is loaded."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from breviary.learn import curriculum


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terms": {"cross_entropi": {}}}, r"terms\.cross_entropi: unknown key, did you mean 'cross_entropy'"),
        ({"terms": {}}, "cross_entropy is required, a phase learns nothing without it"),
        ({"micro_batch": 8}, "micro_batch=8 exceeds batch=4"),
        ({"keep": "first"}, "keep\n.*'best' or 'last', got 'first'"),
        ({"epochs": 0}, "epochs\n.*greater than or equal to 1, got 0"),
        ({"epochs": 1.0}, "epochs\n.*valid integer, got 1.0"),
        ({"max_nonfinite_share": 1.5}, "max_nonfinite_share\n.*less than or equal to 1"),
        ({"optimizer": {"loraplus_ratio": 0.5}}, r"optimizer\.loraplus_ratio\n.*greater than or equal to 1, got 0\.5"),
        ({"optimizer": {"kind": "sgd"}}, r"optimizer\.kind\n"),
        ({"optimizer": {"weight_deacy": 0.1}}, "unknown key, did you mean 'weight_decay'"),
        ({"schedule": {"kind": "cosine"}}, r"schedule\.warmup_share\n.*this key is required"),
        ({"validate_evry": 2}, "unknown key, did you mean 'validate_every'"),
    ],
)
def test_a_phase_that_cannot_work_is_refused(
    changes: dict[str, Any], message: str, make_options: Callable[..., Any]
) -> None:
    with pytest.raises(ValidationError, match=message):
        make_options(**changes)


def test_a_phase_is_frozen_and_has_the_usual_betas(make_options: Callable[..., Any]) -> None:
    options = make_options()
    assert (options.optimizer.beta1, options.optimizer.beta2) == (0.9, 0.999)
    with pytest.raises(ValidationError, match="frozen"):
        options.epochs = 3


def test_reading_params_does_not_load_torch() -> None:
    code = f"import sys, {curriculum.__name__}; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": "src"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
