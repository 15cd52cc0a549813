"""What params.yaml may say of measuring a phase."""

from typing import Any

import pytest

from breviary.errors import ConfigError
from breviary.learn import measuring
from breviary.learn.measuring import Options


def sections(**merges: Any) -> dict[str, Options]:
    return {name: Options(merge=merge) for name, merge in merges.items()}


def test_the_first_phase_merges_with_nothing() -> None:
    measuring.check({})
    measuring.check(sections(fisher_phase2="sum", fisher_phase1="none"))
    with pytest.raises(
        ConfigError, match=r"fisher_phase1\.merge: 'online' needs the anchor of an earlier phase.*'none'"
    ):
        measuring.check(sections(fisher_phase2="none", fisher_phase1="online"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": 0}, "greater than or equal to 1, got 0"),
        ({"merge": "mean"}, "'none', 'online' or 'sum', got 'mean'"),
        ({"decay": 0.0}, "greater than 0, got 0.0"),
        ({"max_nonfinite_share": 1.5}, "less than or equal to 1, got 1.5"),
        ({"example": 3}, "did you mean 'examples'"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options.model_validate(options)
