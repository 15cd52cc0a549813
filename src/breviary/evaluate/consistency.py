"""Whether summaries of two documents about one subject, such as a paper and a talk, say the same.

    matched     mean over the mined pairs i of cos(e(left_i), e(right_i)), e the embedding of the model's summary
    control     mean of cos(e(left_i), e(right_j)) over all pairings of different pairs that are no mined pair
    difference  matched - control

`matched` alone (the "cross-modal consistency" of S1) rises with every phrase that all summaries share, so that a model
which always says "This paper presents a method" is perfectly consistent; the control rises with it, the difference does
not. Only the difference is worth comparing. An empty summary has the cosine 0 with everything.

Intervals are percentiles of a bootstrap over pairs: a draw weighs pair i by how often it was drawn, w_i, so that the
control is sum w_i w_j cos_ij / sum w_i w_j over the same pairings, the bootstrap of a U-statistic. A draw that has one
pair alone has no control and is left out. With fewer than about ten pairs any interval is a rumour.

The encoder should not be the one that mined the pairs: it has already chosen what looks alike to it. Give several.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from breviary.evaluate import statistics
from breviary.records import Pair

Encode = Callable[[Sequence[str]], Float[ndarray, "texts width"]]


@dataclass(frozen=True)
class Range:
    """A value with its interval; no interval where there are fewer than two pairs."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Consistency:
    """What one encoder hears in one model's summaries; None where there is nothing to take a mean of."""

    pairs: int  # of which both sides have a summary
    matched: Range | None
    control: Range | None
    difference: Range | None


Found = dict[str, dict[str, Consistency]]  # encoder -> model -> ...


def consistency(
    summaries: Mapping[str, Mapping[str, str]],
    pairs: Sequence[Pair],
    encoders: Mapping[str, Encode],
    *,
    seed: int,
    resamples: int,
    level: float,
) -> Found:
    """The consistency of each model's summaries (model -> document id -> summary) over `pairs`, by each encoder."""
    found: Found = {}
    for encoder, encode in encoders.items():
        found[encoder] = {}
        for model, texts in summaries.items():
            both = sorted({(each.left, each.right) for each in pairs if {each.left, each.right} <= texts.keys()})
            draw = statistics.generator(seed, "consistency", encoder, model)
            cosines = _cosines([texts[left] for left, _ in both], [texts[right] for _, right in both], encode)
            found[encoder][model] = _consistency(cosines, _controls(both), draw, resamples, level)
    return found


def as_json(found: Found) -> dict[str, Any]:
    """Plain values, ready to be written."""
    return {encoder: {model: asdict(each) for model, each in models.items()} for encoder, models in found.items()}


def _controls(pairs: Sequence[tuple[str, str]]) -> Bool[ndarray, "pairs pairs"]:
    """Which pairings, left of row i with right of column j, are no mined pair."""
    known = set(pairs)
    flat = [(left, right) not in known for left, _ in pairs for _, right in pairs]
    return np.array(flat, dtype=bool).reshape(len(pairs), len(pairs))


def _cosines(left: Sequence[str], right: Sequence[str], encode: Encode) -> Float[ndarray, "pairs pairs"]:
    """Row i, column j: left summary i with right summary j."""
    if not left:
        return np.zeros((0, 0))
    distinct = sorted({text for text in [*left, *right] if text.strip()})
    if not distinct:
        return np.zeros((len(left), len(right)))
    vectors = np.asarray(encode(distinct), dtype=float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    row = {text: number for number, text in enumerate(distinct)}
    vectors = np.vstack([vectors, np.zeros_like(vectors[:1])])  # the last row is for empty summaries
    first, second = ([row.get(text, len(distinct)) for text in side] for side in (left, right))
    return vectors[first] @ vectors[second].T


def _consistency(
    cosines: Float[ndarray, "pairs pairs"],
    controls: Bool[ndarray, "pairs pairs"],
    draw: np.random.Generator,
    resamples: int,
    level: float,
) -> Consistency:
    count = len(cosines)
    if not count:
        return Consistency(0, None, None, None)
    whole = _means(np.ones((1, count)), cosines, controls)[:, 0]
    weights = draw.multinomial(count, np.full(count, 1 / count), size=resamples).astype(float)
    drawn = _means(weights, cosines, controls)
    tails = [(1 - level) / 2, (1 + level) / 2]
    ranges = [
        _range(value, values[np.isfinite(values)], tails, count) for value, values in zip(whole, drawn, strict=True)
    ]
    return Consistency(count, *ranges)


def _means(
    weights: Float[ndarray, "draws pairs"],
    cosines: Float[ndarray, "pairs pairs"],
    controls: Bool[ndarray, "pairs pairs"],
) -> Float[ndarray, "3 draws"]:
    """Matched, control and difference of each draw; NaN where a draw has no two different pairs."""
    matched = weights @ np.diag(cosines) / weights.sum(axis=1)
    weight = ((weights @ controls) * weights).sum(axis=1)
    summed = ((weights @ (cosines * controls)) * weights).sum(axis=1)
    control = np.divide(summed, weight, out=np.full_like(summed, np.nan), where=weight > 0)
    return np.stack([matched, control, matched - control])


def _range(value: float, drawn: Float[ndarray, " draws"], tails: Sequence[float], count: int) -> Range | None:
    if not np.isfinite(value):
        return None
    if count < 2 or not drawn.size:
        return Range(float(value), None, None)
    low, high = np.quantile(drawn, tails)
    return Range(float(value), float(low), float(high))
