"""Whether the numbers of a summary stand in its source.

    number_precision  of the summary's distinct numbers, the share whose value occurs in the source, 0 to 1

Values are compared, not spellings: see `quantities.py` for what is a number and what its value is. "one", "first" and
"second" alone do not count in a summary, and do support a 1 or 2 of it in the source. A summary without a number, so
also an empty one, claims none: it has no precision (NaN), and means are over summaries that have numbers.

A number that the source has elsewhere counts as supported, whatever it is said of; one that the summary rounds, or that
the writer added up, does not. Nan et al. 2021, arXiv:2102.09130, measure named entities in this way, numbers with them.
"""

import math
from collections.abc import Sequence
from typing import Literal

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.quantities import quantities

HIGHER_IS_BETTER: dict[str, bool | None] = {"number_precision": True}
SETTINGS = {
    "number_precision": "share of distinct values that occur in the source; no unit, sign or rank; NaN without numbers",
    "words": "English",
}


class Options(config.Options):
    """Number precision has no settings."""

    kind: Literal["numbers"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    return measured.Metric(score, SETTINGS, against="source")


def score(texts: Sequence[measured.Texts]) -> list[dict[str, float]]:
    """The number precision of each summary; every source is read once."""
    known = {source: {each.value for each in quantities(source)} for source in {text.source for text in texts}}
    return [{"number_precision": precision(text.summary, known[text.source])} for text in texts]


def precision(summary: str, known: set[str]) -> float:
    """The share of the summary's distinct values that are among the `known`."""
    claimed = {each.value for each in quantities(summary) if each.sure}
    return len(claimed & known) / len(claimed) if claimed else math.nan
