"""Corpus figures: intervals and p-values of functions of sums."""

import itertools

import numpy as np
import pytest

from breviary.evaluate import statistics, sums


def ratio(totals):
    """Right over asked, of all documents together."""
    return totals[:, 0] / totals[:, 1]


def counts(seed: int, documents: int, share: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    asked = random.integers(5, 60, documents)
    return np.stack([random.binomial(asked, share), asked], axis=1).astype(float)


CHANCE = {"resamples": 999, "level": 0.95}


def test_a_figure_is_of_the_sums_and_not_a_mean_of_figures():
    lines = np.array([[1.0, 2.0], [0.0, 98.0]])
    found = sums.estimate(lines, ratio, np.random.default_rng(0), **CHANCE)
    assert (found.mean, found.n) == (0.01, 2)


def test_a_mean_is_the_special_case_and_gets_the_same_interval():
    values = np.random.default_rng(3).normal(size=40)
    lines = np.stack([values, np.ones(40)], axis=1)
    of_sums = sums.estimate(lines, ratio, np.random.default_rng(5), resamples=9999, level=0.95)
    of_means = statistics.mean(values, np.random.default_rng(5), resamples=9999, level=0.95)
    assert of_sums.mean == pytest.approx(of_means.mean)
    assert (of_sums.low, of_sums.high) == pytest.approx((of_means.low, of_means.high), abs=0.02)


def test_p_equals_that_of_all_exchanges_counted_by_hand():
    first, second = counts(1, 7, 0.7), counts(2, 7, 0.5)
    second[:, 1] = first[:, 1]
    observed = abs(ratio(first.sum(0)[None])[0] - ratio(second.sum(0)[None])[0])
    as_large = 0
    for sides in itertools.product((True, False), repeat=7):
        mine = sum(a if side else b for side, a, b in zip(sides, first, second, strict=True))
        theirs = sum(b if side else a for side, a, b in zip(sides, first, second, strict=True))
        as_large += abs(mine[0] / mine[1] - theirs[0] / theirs[1]) >= observed * (1 - 1e-12)
    exact = sums.exchanged(first, second, ratio, np.random.default_rng(0), resamples=128)
    drawn = sums.exchanged(first, second, ratio, np.random.default_rng(0), resamples=127)
    assert exact == as_large / 128
    assert exact < 1
    assert drawn == pytest.approx(exact, abs=0.12)


def test_the_same_model_twice_has_p_1_and_no_interval():
    lines = counts(4, 12, 0.5)
    found = sums.compare(lines, lines, ratio, np.random.default_rng(0), **CHANCE)
    assert (found.difference, found.p, found.low, found.effect) == (0, 1, None, None)


def test_a_better_model_is_found_and_its_interval_excludes_nothing():
    found = sums.compare(counts(1, 30, 0.8), counts(2, 30, 0.5), ratio, np.random.default_rng(0), **CHANCE)
    assert found.low is not None
    assert 0.2 < found.low < found.difference < found.high < 0.4
    assert found.p == 1 / 1000
    assert found.above == 1


def test_one_document_has_no_interval():
    found = sums.estimate(counts(0, 1, 0.5), ratio, np.random.default_rng(0), **CHANCE)
    assert (found.low, found.high, found.n) == (None, None, 1)


def test_memory_does_not_depend_on_the_draws(monkeypatch):
    whole = sums.compare(counts(1, 9, 0.7), counts(2, 9, 0.6), ratio, np.random.default_rng(0), **CHANCE)
    monkeypatch.setattr(sums, "MEMORY", 50)
    pieces = sums.compare(counts(1, 9, 0.7), counts(2, 9, 0.6), ratio, np.random.default_rng(0), **CHANCE)
    assert pieces == whole


@pytest.mark.slow
def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(300):
        found = sums.estimate(counts(seed, 40, 0.3), ratio, np.random.default_rng(seed), resamples=499, level=0.9)
        covered += found.low is not None and found.low <= 0.3 <= found.high
    assert 0.84 < covered / 300 < 0.95
