"""Costs between and beyond what was measured, and through JSON and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.model.cost import Cost, Pace, from_json, to_json

COST = Cost({20: 10.0, 100: 50.0, 400: 260.0}, 0.01, {"two": Pace(2, {1: 8.0, 8: 22.0}), "one": Pace(1, {1: 5.0})})


@pytest.mark.parametrize(
    ("tokens", "ms"), [(20, 10), (60, 30), (100, 50), (250, 155), (400, 260), (800, 1040), (10, 5), (1, 5)]
)
def test_reading_is_linear_between_lengths_and_quadratic_beyond(tokens: int, ms: float) -> None:
    assert COST.reading("one", 1, tokens) == pytest.approx(ms)
    assert COST.reading("two", 3, tokens) == pytest.approx(6 * ms)


@pytest.mark.parametrize(("prompts", "ms"), [(1, 8), (2, 10), (8, 22), (11, 28)])
def test_a_step_is_linear_in_the_prompts(prompts: int, ms: float) -> None:
    assert COST.step("two", prompts, 0) == pytest.approx(ms)
    assert COST.step("two", prompts, 100) == pytest.approx(ms + 2 * prompts)
    assert COST.step("one", prompts, 0) == pytest.approx(5 * prompts)


def test_writing_counts_the_tokens_after_the_first() -> None:
    assert COST.writing("one", 1, 100, 1) == 0
    assert COST.writing("one", 1, 100, 11) == pytest.approx(10 * (5 + 0.01 * 105))


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 40), st.integers(1, 40))
def test_more_never_costs_less(tokens: int, more: int, prompts: int, others: int) -> None:
    for profile in COST.paces:
        assert COST.reading(profile, prompts, tokens) <= COST.reading(profile, prompts, tokens + more)
        assert COST.reading(profile, prompts, tokens) <= COST.reading(profile, prompts + others, tokens)
        assert COST.step(profile, prompts, tokens) <= COST.step(profile, prompts + others, tokens + more)


def test_noise_does_not_make_larger_batches_cheaper() -> None:
    noisy = Cost({10: 5.0, 20: 4.0}, 0.0, {"one": Pace(1, {1: 6.0, 8: 5.0})})
    assert (noisy.step("one", 20, 0), noisy.reading("one", 1, 15)) == (6.0, 5.0)


def test_it_survives_json() -> None:
    assert from_json(json.loads(json.dumps(to_json(COST)))) == COST
    with pytest.raises(KeyError):
        from_json({"read_ms": {}})
