"""How sure a corpus figure is: one that is computed from counts of all documents together, as BLEU is.

    value = f(sum over documents of counts_d)

It is no mean of documents' scores, so the documents themselves are drawn again: interval by BCa bootstrap of `value`,
p by approximate randomisation (Riezler & Maxwell 2005, "On some pitfalls in automatic evaluation"): if both models were
the same, each document's two summaries could change sides. There is no d_z: a document has no value of its own.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from breviary.evaluate.statistics import Comparison, Estimate

Counts = Float[ndarray, "documents counts"]
Value = Callable[[Float[ndarray, "draws counts"]], Float[ndarray, " draws"]]
MEMORY = 4_000_000  # counts that are held at once while documents are drawn


def estimate(counts: Counts, value: Value, generator: np.random.Generator, *, resamples: int, level: float) -> Estimate:
    """The corpus figure with its `level` interval; without one where every draw gives the same."""
    found = float(value(counts.sum(0, keepdims=True))[0])
    low, high, _ = _bootstrap(lambda rows: value(counts[rows].sum(-2)), counts, generator, resamples, level)
    return Estimate(found, low, high, len(counts))


def compare(
    first: Counts, second: Counts, value: Value, generator: np.random.Generator, *, resamples: int, level: float
) -> Comparison:
    """The first corpus figure minus the second; row i of both is the same document."""

    def difference(rows: ndarray) -> Float[ndarray, " draws"]:
        return value(first[rows].sum(-2)) - value(second[rows].sum(-2))

    found = float(difference(np.arange(len(first))[None])[0])
    low, high, resampled = _bootstrap(difference, first, generator, resamples, level)
    p = exchanged(first, second, value, generator, resamples)
    return Comparison(found, low, high, p, above=float(np.mean(resampled > 0)), effect=None, n=len(first))


def exchanged(first: Counts, second: Counts, value: Value, generator: np.random.Generator, resamples: int) -> float:
    """Two-sided p of a difference as large as this one if a coin decided for each document which model wrote which.

    Exact where all 2^n exchanges are no more than `resamples`; otherwise drawn, and the observed one is counted.
    """
    total = (first + second).sum(0)

    def differences(sides: Bool[ndarray, "draws documents"]) -> Float[ndarray, " draws"]:
        mine = np.where(sides[:, :, None], first, second).sum(1)
        return np.abs(value(mine) - value(total - mine))

    n = len(first)
    observed = differences(np.ones((1, n), bool))[0]
    is_exact = n < 63 and 2**n <= resamples
    draws = 2**n if is_exact else resamples
    as_large = 0
    for start in range(0, draws, step := max(1, MEMORY // first.size)):
        count = min(step, draws - start)
        numbered = np.arange(start, start + count)[:, None] >> np.arange(n)[None] & 1 if is_exact else None
        sides = numbered.astype(bool) if numbered is not None else generator.random((count, n)) < 0.5
        as_large += int(np.sum(differences(sides) >= observed * (1 - 1e-12)))
    return as_large / draws if is_exact else (as_large + 1) / (draws + 1)


def _bootstrap(
    figure: Callable[[ndarray], Float[ndarray, " draws"]],
    counts: Counts,
    generator: np.random.Generator,
    resamples: int,
    level: float,
) -> tuple[float | None, float | None, Float[ndarray, " resamples"]]:
    """Low, high, and the figure of each draw of documents."""
    from scipy import stats

    documents = np.arange(len(counts))
    alone = figure(documents[:, None])
    if len(counts) == 1 or np.ptp(alone) == 0:  # whatever is drawn, nothing changes: there is nothing to say
        return None, None, figure(documents[None])

    def drawn(rows: ndarray, axis: int) -> Float[ndarray, "*draws"]:
        flat = np.moveaxis(rows, axis, -1).astype(int)
        return figure(flat.reshape(-1, flat.shape[-1])).reshape(flat.shape[:-1])

    result = stats.bootstrap(
        (documents,),
        drawn,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, MEMORY // counts.size),
        confidence_level=level,
        method="BCa",
        rng=generator,
    )
    low, high = map(float, result.confidence_interval)
    is_known = np.isfinite([low, high]).all()
    return (low, high, result.bootstrap_distribution) if is_known else (None, None, result.bootstrap_distribution)
