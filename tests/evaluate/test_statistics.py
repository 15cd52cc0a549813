"""Intervals, paired tests and corrections: closed cases, agreement with scipy, and behaviour on simulated data."""

from dataclasses import astuple
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from breviary.evaluate import statistics

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def mean(values, seed=0, resamples=999, level=0.95):
    return statistics.mean(np.array(values), rng(seed), resamples=resamples, level=level)


def compare(first, second, seed=0, resamples=999, level=0.95):
    return statistics.compare(np.array(first), np.array(second), rng(seed), resamples=resamples, level=level)


def test_the_interval_is_scipys_bca():
    values = rng(3).gamma(2.0, size=25)
    expected = stats.bootstrap((values,), np.mean, n_resamples=999, method="BCa", rng=rng(7)).confidence_interval
    estimate = mean(values, seed=7)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    assert (estimate.mean, estimate.n) == (pytest.approx(values.mean()), 25)


def test_the_same_seed_gives_the_same_digits_and_another_does_not():
    values = rng(3).gamma(2.0, size=25)
    assert mean(values, seed=1) == mean(values, seed=1) != mean(values, seed=2)


@pytest.mark.parametrize("values", [[0.4], [0.4, 0.4, 0.4], [0.0] * 5, [0.1 + 0.2, 0.3, 0.3]])
def test_there_is_no_interval_where_there_is_no_spread(values):
    assert astuple(mean(values)) == (pytest.approx(np.mean(values)), None, None, len(values))


@pytest.mark.slow
def test_coverage_of_the_interval_is_near_its_level():
    simulated = rng(11)
    truth, covered = 2.0, 0
    for _ in range(400):
        estimate = statistics.mean(simulated.gamma(2.0, size=30), simulated, resamples=499, level=0.9)
        covered += estimate.low <= truth <= estimate.high
    assert 0.85 <= covered / 400 <= 0.94  # skewed data, n = 30: BCa is known to fall a little short


def test_a_wider_level_gives_a_wider_interval():
    values = rng(3).gamma(2.0, size=25)
    narrow, wide = mean(values, level=0.8), mean(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_an_identical_pair_has_p_1_and_nothing_to_say(count):
    values = rng(2).random(count)
    assert compare(values, values) == statistics.Comparison(0.0, None, None, 1.0, 0.0, None, count)


@pytest.mark.slow
@given(VALUES)
@settings(deadline=None)
def test_swapping_the_models_turns_the_sign_and_keeps_p(first):
    second = first[::-1] ** 2
    one, other = compare(first, second), compare(second, first)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p == pytest.approx(other.p)
    assert 0 < one.p <= 1


@pytest.mark.parametrize("count", [2, 6, 9])
def test_p_is_exact_for_few_documents(count):
    differences = rng(count).normal(0.3, 1, count)
    flips = np.array(list(product([-1, 1], repeat=count))) @ differences
    expected = np.mean(np.abs(flips) >= abs(differences.sum()) - 1e-12)
    assert statistics.sign_flip(differences, rng(), 999) == pytest.approx(expected)


def test_six_documents_that_all_improve_have_the_smallest_p_there_is():
    assert compare([0.5, 0.6, 0.7, 0.8, 0.9, 1.0], [0.1] * 6).p == 2 / 64


@pytest.mark.slow
def test_p_of_many_documents_is_near_the_exact_one_and_never_0():
    differences = rng(5).normal(0.25, 1, 16)
    exact = statistics.sign_flip(differences, rng(), 2**16)
    assert statistics.sign_flip(differences, rng(), 9999) == pytest.approx(exact, abs=0.02)
    assert statistics.sign_flip(np.linspace(1, 2, 60), rng(), 999) == pytest.approx(2 / 1000)


@pytest.mark.slow
def test_p_is_below_its_level_as_often_as_it_may_be():
    simulated = rng(4)
    rejected = sum(statistics.sign_flip(simulated.normal(0, 1, 8), simulated, 999) <= 0.1 for _ in range(400))
    assert 0.06 <= rejected / 400 <= 0.14


def test_a_difference_has_interval_share_and_effect():
    second = rng(8).random(30)
    first = second + rng(9).normal(0.3, 0.2, 30)
    found = compare(first, second)
    differences = first - second
    assert found.difference == pytest.approx(differences.mean())
    assert found.low is not None and 0 < found.low < found.difference < found.high
    assert found.above == 1.0
    assert found.effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert found.effect == pytest.approx(stats.ttest_rel(first, second).statistic / np.sqrt(30))


def test_a_constant_gain_is_above_in_every_resample_and_has_no_effect_size():
    found = compare([0.4, 0.5, 0.6], [0.3, 0.4, 0.5])
    assert (found.low, found.effect, found.above, found.p) == (None, None, 1.0, 0.25)


def test_holm_by_hand():
    # sorted: .005 x4 = .02, .01 x3 = .03, .03 x2 = .06, .04 x1 = .04 -> .06 (never below the one before)
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.5, 0.9, 0.4]) == [1.0, 1.0, 1.0]
    assert statistics.holm([0.04]) == [0.04]
    assert statistics.holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(p_values):
    adjusted = statistics.holm(p_values)
    bounds = [(p, min(1.0, len(p_values) * p)) for p in p_values]
    assert all(low <= value <= high for value, (low, high) in zip(adjusted, bounds, strict=True))
    ranked = [value for _, value in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
