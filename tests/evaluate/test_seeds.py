"""Intervals over seeds and documents: closed forms, simulated coverage, and what is exactly 0."""

import numpy as np
import pytest
from scipy import stats

from breviary.evaluate import seeds


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(generator: np.random.Generator, count: int, documents: int, of_seed: float, of_document: float, rest: float):
    """One condition whose true mean is 0."""
    return (
        of_seed * generator.standard_normal((1, count, 1))
        + of_document * generator.standard_normal((1, 1, documents))
        + rest * generator.standard_normal((1, count, documents))
    )


def test_seeds_alone_give_students_interval():
    values = np.array([0.1, 0.3, 0.8])[None, :, None] * np.ones((1, 1, 7))  # documents do not differ
    found = seeds.interval(0.4, seeds.draws(values, rng(), resamples=200_000)[:, 0], level=0.95)
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=stats.sem([0.1, 0.3, 0.8]))
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_documents_alone_give_the_bootstrap_of_their_mean():
    one = rng(3).gamma(2.0, size=30)
    values = np.tile(one, (1, 3, 1))  # seeds do not differ
    drawn = seeds.draws(values, rng(1), resamples=50_000)[:, 0]
    assert drawn.mean() == pytest.approx(one.mean(), abs=0.01)
    assert drawn.std() == pytest.approx(one.std() / np.sqrt(30), rel=0.02)
    expected = stats.bootstrap((one,), np.mean, n_resamples=20_000, method="percentile", rng=rng(2))
    found = seeds.interval(one.mean(), drawn, level=0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval), abs=0.03)


def test_one_seed_speaks_of_the_documents_alone():
    one = rng(3).gamma(2.0, size=(1, 1, 30))
    alone = seeds.draws(one, rng(4), resamples=50)
    assert alone == pytest.approx(seeds.draws(np.tile(one, (1, 3, 1)), rng(4), resamples=50))
    assert alone.std() > 0


def test_the_same_seed_gives_the_same_digits_and_another_does_not():
    values = rng(3).standard_normal((2, 3, 9))
    first, again = seeds.draws(values, rng(1), resamples=20), seeds.draws(values, rng(1), resamples=20)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, seeds.draws(values, rng(2), resamples=20))


def test_a_method_compared_with_itself_differs_by_exactly_nothing():
    values = rng(3).standard_normal((1, 3, 9)).repeat(2, axis=0)
    drawn = seeds.draws(values, rng(), resamples=500)
    assert np.array_equal(drawn[:, 0], drawn[:, 1])
    found = seeds.interval(0.0, drawn[:, 0] - drawn[:, 1], level=0.95)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_constant_shift_between_conditions_has_no_width_however_much_documents_differ():
    values = rng(3).standard_normal((1, 3, 9))
    drawn = seeds.draws(np.concatenate([values, values + 0.25]), rng(), resamples=500)
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(np.full(500, 0.25))


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize(
    ("of_seed", "of_document", "rest"), [(0.0, 1.0, 0.3), (0.1, 0.3, 0.1), (0.3, 0.1, 0.1), (0.1, 0.1, 0.3)]
)
def test_coverage_is_near_its_level_whatever_differs_most(count: int, of_seed: float, of_document: float, rest: float):
    simulated, covered = rng(5), 0
    for _ in range(400):
        values = table(simulated, count, 40, of_seed, of_document, rest)
        found = seeds.interval(values.mean(), seeds.draws(values, simulated, resamples=499)[:, 0], level=0.9)
        covered += found.low <= 0 <= found.high
    assert 0.85 <= covered / 400 <= 0.97  # a standard error is 0.015; the rest counts with both factors


@pytest.mark.slow
def test_coverage_of_a_share_is_near_its_level():
    simulated, covered = rng(6), 0
    for _ in range(400):
        plainly = 0.1 + table(simulated, 3, 40, 0.01, 0.05, 0.02)
        lost = 0.3 * plainly + table(simulated, 3, 40, 0.005, 0.02, 0.01)  # 70 % removed
        drawn = seeds.draws(np.concatenate([lost, plainly]), simulated, resamples=499)
        found = seeds.share_removed((lost.mean(), drawn[:, 0]), (plainly.mean(), drawn[:, 1]), level=0.9)
        covered += found.low <= 0.7 <= found.high
    assert 0.85 <= covered / 400 <= 0.97


def test_the_share_removed_is_one_minus_the_ratio_of_means():
    drawn = np.linspace(0.9, 1.1, 101)
    found = seeds.share_removed((0.2, 0.2 * drawn), (1.0, drawn), level=0.95)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.8, 0.8))
    assert seeds.share_removed((1.0, drawn), (1.0, drawn), level=0.95) == seeds.Interval(0.0, 0.0, 0.0)


def test_there_is_no_share_of_nothing_and_no_bound_where_it_may_be_nothing():
    drawn = np.linspace(-0.1, 1.0, 101)
    assert seeds.share_removed((0.2, drawn), (0.0, drawn), level=0.95) is None
    assert seeds.share_removed((0.2, drawn), (-0.1, drawn), level=0.95) is None
    assert seeds.share_removed((0.225, drawn), (0.45, drawn), level=0.95) == seeds.Interval(0.5, None, None)
