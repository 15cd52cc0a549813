"""How sure a mean or a difference of means is, given the documents that happened to be in the test split.

Interval of a mean: bias-corrected and accelerated (BCa) bootstrap over documents.
    Efron 1987, "Better bootstrap confidence intervals". Resampling needs spread: with one document, or with all values
    equal, the bootstrap has nothing to say, and there is no interval rather than one of width 0.
Difference of two models: always paired, on the same documents.
    interval  BCa bootstrap of the mean difference
    p         sign-flip permutation of the differences, two-sided: exact when all 2^n flips are no more than the
              resamples, else sampled (Phipson & Smyth 2010: the observed one is counted, so p is never 0)
    above     share of paired bootstrap resamples in which the difference is positive
    effect    d_z = mean(d) / sd(d), sd with n - 1
Several p-values: Holm 1979.

These speak of the sampling of documents only. A claim about a *method* needs several training seeds.
Every function takes its numpy Generator, so the same seed gives the same digits; `generator` makes one for each number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from breviary.records import content_hash

SAME = 1e-12  # relative; differences below it are rounding


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` documents; no interval where none can be had."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Comparison:
    """The first model minus the second, over the `n` documents that both have."""

    difference: float
    low: float | None
    high: float | None
    p: float
    above: float
    effect: float | None
    n: int


def generator(seed: int, *name: str) -> np.random.Generator:
    """A generator of the seed and the name alone, so that one number more or less changes no digit of the others."""
    return np.random.default_rng([seed, int(content_hash(*name), 16)])


def mean(
    values: Float[ndarray, " documents"], generator: np.random.Generator, *, resamples: int, level: float
) -> Estimate:
    """The mean of `values` with its `level` interval."""
    low, high, _ = _bootstrap(values, generator, resamples, level)
    return Estimate(float(np.mean(values)), low, high, len(values))


def compare(
    first: Float[ndarray, " documents"],
    second: Float[ndarray, " documents"],
    generator: np.random.Generator,
    *,
    resamples: int,
    level: float,
) -> Comparison:
    """How much better `first` is than `second`; position i of both is the same document."""
    differences = first - second
    low, high, resampled = _bootstrap(differences, generator, resamples, level)
    return Comparison(
        difference=float(np.mean(differences)),
        low=low,
        high=high,
        p=sign_flip(differences, generator, resamples),
        above=float(np.mean(resampled > 0)),
        effect=None if _are_same(differences) else float(np.mean(differences) / np.std(differences, ddof=1)),
        n=len(differences),
    )


def sign_flip(differences: Float[ndarray, " documents"], generator: np.random.Generator, resamples: int) -> float:
    """Two-sided p of a mean difference as large as this one if the sign of each were a coin toss."""
    from scipy import stats

    if len(differences) == 1:  # scipy refuses; both flips are as far from 0 as what was seen
        return 1.0
    if 2 ** len(differences) <= resamples:
        exact = stats.permutation_test(
            (differences,), _means, permutation_type="samples", vectorized=True, n_resamples=resamples
        )
        return float(exact.pvalue)
    flipped = stats.monte_carlo_test(
        differences,
        lambda size: generator.choice([-1.0, 1.0], size=size) * differences,
        _means,
        vectorized=True,
        n_resamples=resamples,
        batch=1000,
    )
    return float(flipped.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value adjusted so that rejecting below alpha keeps the chance of any false claim below alpha.

    p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j)), in ascending order of p
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def settings(*, resamples: int, level: float) -> dict[str, str | int | float]:
    """What must be known of these numbers to compare them with others."""
    return {
        "implementation": f"scipy {version('scipy')}",
        "interval": "BCa bootstrap over documents",
        "level": level,
        "p": f"two-sided sign flip of paired differences, all flips where they are at most {resamples}",
        "p_holm": "Holm over all comparisons of the same metric",
        "effect": "mean / standard deviation (n - 1) of the paired differences",
        "resamples": resamples,
    }


def _bootstrap(
    values: Float[ndarray, " documents"], generator: np.random.Generator, resamples: int, level: float
) -> tuple[float | None, float | None, Float[ndarray, " resamples"]]:
    """Low, high, and the resampled means."""
    from scipy import stats

    if _are_same(values):
        return None, None, np.array([np.mean(values)])
    result = stats.bootstrap(
        (values,),
        _means,
        vectorized=True,
        n_resamples=resamples,
        batch=1000,  # 1,000 resamples at a time keep the memory at 8 kB a document
        confidence_level=level,
        method="BCa",
        rng=generator,
    )
    low, high = map(float, result.confidence_interval)
    return low, high, result.bootstrap_distribution


def _are_same(values: Float[ndarray, " documents"]) -> bool:
    return float(np.ptp(values)) <= SAME * max(1.0, math.fabs(float(values[0])))


def _means(values: Float[ndarray, "*batch documents"], axis: int) -> Float[ndarray, "*batch"]:
    return np.asarray(np.mean(values, axis=axis))
