"""How much a summary says twice.

    repeated_trigrams   1 - distinct trigrams / trigrams       seq-rep-3 of Welleck et al. 2020, arXiv:1908.04319
    repeated_sentences  sentences whose words stood in an earlier sentence of the same words / sentences

From 0 to below 1. People repeat a trigram now and then, so the level to come back to is the references' own, the row
`reference` of the table; a loop of the decoder shows as a share near 1. A summary of fewer than three words has no
trigram, and one without a word has no sentence: NaN.
"""

import math
from typing import Literal

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.words import sentences, words

SIZE = 3  # words
HIGHER_IS_BETTER: dict[str, bool | None] = {"repeated_trigrams": None, "repeated_sentences": None}
SETTINGS = {
    "repeated_trigrams": "1 - distinct / all, over the whole summary; words in lower case, unstemmed",
    "repeated_sentences": "share that says the same words as an earlier one, whatever case and punctuation",
}


class Options(config.Options):
    """Repetition has no settings."""

    kind: Literal["repetition"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    return measured.Metric(measured.each(score), SETTINGS)


def score(prediction: str, reference: str, source: str) -> dict[str, float]:
    """Repeated shares of the summary; neither reference nor source is looked at."""
    said = words(prediction)
    trigrams = [tuple(said[at : at + SIZE]) for at in range(len(said) - SIZE + 1)]
    lines = [tuple(found) for sentence in sentences(prediction) if (found := words(sentence))]
    return {"repeated_trigrams": _repeated(trigrams), "repeated_sentences": _repeated(lines)}


def _repeated(items: list[tuple[str, ...]]) -> float:
    """The share of `items` that stand earlier in the list as well."""
    return 1 - len(set(items)) / len(items) if items else math.nan
