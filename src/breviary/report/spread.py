"""Distributions, small enough to be drawn: quantiles of how long summaries are, counts of how pairs scored."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import floor
from typing import Any

import numpy as np

from breviary.data.pair_report import Reject
from breviary.evaluate.scoring import Scored
from breviary.records import Pair

LENGTH = "words"  # the metric `length`
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SHOWN = 60  # documents up to which each one is drawn
BIN = 0.05  # of the margin
PAIRS = "mined"
APART = "near duplicate"  # a reject for another reason than its score as a pair


def lengths(scored: Sequence[Scored], models: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """For each domain, how many words the summaries of each model have."""
    found: dict[str, list[dict[str, Any]]] = {}
    for domain in sorted({each.domain for each in scored}):
        for model in models:
            values = sorted(
                value
                for each in scored
                if each.domain == domain and each.model == model and (value := each.scores.get(LENGTH)) is not None
            )
            if values:
                found.setdefault(domain, []).append({"model": model, **summary(values)})
    return found


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Quantiles, and the values themselves where they are few."""
    quantiles = np.quantile(np.array(values), QUANTILES)
    return {
        "n": len(values),
        "quantiles": [round(float(value), 2) for value in quantiles],
        "values": [round(value, 2) for value in values] if len(values) <= SHOWN else [],
    }


def margins(pairs: Iterable[Pair], rejects: Iterable[Reject]) -> dict[str, Any]:
    """How many candidates have a margin in each bin: those that became pairs, and the others by reason."""
    counts = Counter((PAIRS, floor(round(pair.margin / BIN, 6))) for pair in pairs)
    counts += Counter((each.reason, floor(round(each.margin / BIN, 6))) for each in rejects if each.reason != APART)
    bins = sorted({at for _, at in counts})
    if not bins:
        return {"width": BIN, "low": 0.0, "counts": {}}
    every = range(bins[0], bins[-1] + 1)
    kinds = [PAIRS, *sorted({kind for kind, _ in counts} - {PAIRS})]
    return {
        "width": BIN,
        "low": round(bins[0] * BIN, 6),
        "counts": {kind: [counts[kind, at] for at in every] for kind in kinds},
    }
