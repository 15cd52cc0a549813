"""How far a summary's wording departs from its source.

    novelN      share of the summary's distinct N-grams that do not occur in the source, 0 to 1
    copied_run  words in the longest stretch that stands in the source word for word

See et al. 2017, arXiv:1704.04368, figure 6; distinct n-grams as in SummEval (Fabbri et al. 2021, arXiv:2007.12626).
Neither is better high or low: an invented summary is all novel, an excerpt is all copied.
A summary of fewer than N words has no N-gram, so its novelN is NaN; an empty one copies a run of 0 words.
"""

import math
from difflib import SequenceMatcher
from typing import Literal

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.words import words

SIZES = (1, 2, 3)
HIGHER_IS_BETTER: dict[str, bool | None] = {**{f"novel{n}": None for n in SIZES}, "copied_run": None}
SETTINGS = {"words": "lower case, unstemmed", "ngrams": "distinct", "unit of copied_run": "words"}


class Options(config.Options):
    """Novelty has no settings."""

    kind: Literal["novelty"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    return measured.Metric(measured.each(score), SETTINGS)


def score(prediction: str, reference: str, source: str) -> dict[str, float]:
    """Novel n-gram shares and the longest copied run; the reference is not looked at."""
    summary, original = words(prediction), words(source)
    shares = {f"novel{n}": _novel_share(summary, original, n) for n in SIZES}
    return {**shares, "copied_run": float(_longest_common_run(summary, original))}


def _novel_share(summary: list[str], source: list[str], n: int) -> float:
    grams = _ngrams(summary, n)
    return len(grams - _ngrams(source, n)) / len(grams) if grams else math.nan


def _ngrams(tokens: list[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)}


def _longest_common_run(summary: list[str], source: list[str]) -> int:
    # autojunk would ignore the frequent words of any source of 200 words or more
    return SequenceMatcher(None, summary, source, autojunk=False).find_longest_match().size
