"""Whether the names of a summary stand in its source.

    entity_precision  of the summary's distinct names, the share of which every word occurs in the source, 0 to 1

Nan et al. 2021, arXiv:2102.09130, prec_s. Names are found in the summary alone, by spaCy; in the source it is words
that are looked for, so that a name which the recogniser misses there is still found, and a shorter one ("Curie" for
"Marie Curie") counts. Words are compared in lower case, without articles, possessives and the dots of "U.S."; a plural
is its singular. Numbers inside a name are left to `numbers.py`. A summary without a name, so also an empty one, claims
none: it has no precision (NaN), and means are over summaries that have names.

A name that the source has elsewhere counts, whatever is said of it. English alone. Never compare figures of another
recogniser: the backend is part of the settings.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import regex

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.names import BACKEND, LABELS, Name, names
from breviary.evaluate.words import words

HIGHER_IS_BETTER: dict[str, bool | None] = {"entity_precision": True}
SETTINGS = {
    "backend": BACKEND,
    "entity_precision": "share of distinct names whose words all occur in the source; NaN without names",
    "labels": sorted(LABELS),
}
LITTLE = {"a", "an", "the", "s", "of", "and", "for", "in", "on"}  # every source has them
INITIALS = regex.compile(r"(?<=\b\p{L})\.(?=\p{L}\b)")


class Options(config.Options):
    """Entity precision has no settings."""

    kind: Literal["entities"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which loads its recogniser when it is first used."""
    return measured.Metric(score, SETTINGS, against="source")


def score(texts: Sequence[measured.Texts]) -> list[dict[str, float]]:
    """The entity precision of each summary; each distinct summary and source is read once."""
    sources = {text.source: frozenset(_words(text.source)) for text in texts}
    summaries = sorted({text.summary for text in texts})
    found = dict(zip(summaries, names(summaries), strict=True))
    return [{"entity_precision": precision(found[text.summary], sources[text.source])} for text in texts]


def precision(found: Iterable[Name], known: frozenset[str]) -> float:
    """The share of distinct names, each a set of words, that are all among the `known` words."""
    claimed = {frozenset(_words(name.text)) for name in found} - {frozenset()}
    return sum(name <= known for name in claimed) / len(claimed) if claimed else math.nan


def _words(text: str) -> list[str]:
    """The words that tell a name."""
    found = words(INITIALS.sub("", text))
    return [_singular(word) for word in found if word not in LITTLE and not word.isdigit()]


def _singular(word: str) -> str:
    """Without a plural's s; only so that both sides lose it, not for reading."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
