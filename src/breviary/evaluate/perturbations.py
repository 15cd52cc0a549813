"""Summaries made wrong on purpose, one error each, so that it can be measured which metric notices which error.

    number_other     a number of the summary becomes one of another document
    number_same      ... one that stands elsewhere in the same source: it occurs there, so that looking for it finds it
    entity_other     a name becomes one of another document's summary or source
    entity_same      ... one that stands elsewhere in the same source
    negation         a sentence is denied, or its denial taken away
    sentence_other   a sentence becomes one of another document's summary

Kryściński et al. 2020, arXiv:1910.12840 (FactCC), section 3.1, make such errors to train on; these are for measuring.
Which errors a model really makes is another matter: it may err in ways that none of these has.

Names and numbers are found as the metrics find them, so that an error in what a metric cannot read is never made: how
well numbers and entities are told is told too well. A new number is of the same shape (year, decimal, whole) and a new
name of the same label where there is one; whether the new one stands in the source by chance is not looked at.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from breviary.evaluate.names import Name, names
from breviary.evaluate.quantities import Quantity, quantities
from breviary.evaluate.words import sentences

READ = 6000  # characters of a source in which names are looked for: the recogniser is slow
AUXILIARY = re.compile(
    r"\b(is|are|was|were|has|have|had|can|could|will|would|should|may|might|must|do|does|did)\b(?!['\u2019])(\s+not\b)?",
    flags=re.IGNORECASE,
)


@dataclass(frozen=True)
class Case:
    """A summary and its source, and those of another document to take wrong things from."""

    summary: str
    source: str
    other_summary: str
    other_source: str


Perturbation = Callable[[Case, random.Random], str | None]  # None: there is nothing in the summary to make wrong


def number_other(case: Case, draw: random.Random) -> str | None:
    """One number of the summary, replaced by another of the other document's source."""
    return _with_a_number_of(case.other_source, case.summary, draw)


def number_same(case: Case, draw: random.Random) -> str | None:
    """One number of the summary, replaced by another of its own source."""
    return _with_a_number_of(case.source, case.summary, draw)


def entity_other(case: Case, draw: random.Random) -> str | None:
    """One name of the summary, replaced by another of the other document's summary and source."""
    return _with_a_name_of([case.other_summary, case.other_source[:READ]], case.summary, draw)


def entity_same(case: Case, draw: random.Random) -> str | None:
    """One name of the summary, replaced by another of its own source."""
    return _with_a_name_of([case.source[:READ]], case.summary, draw)


def negation(case: Case, draw: random.Random) -> str | None:
    """One auxiliary of the summary with "not" put after it, or taken away. Contractions ("isn't") are left alone."""
    found = list(AUXILIARY.finditer(case.summary))
    if not found:
        return None
    match = draw.choice(found)
    denied = match[1] if match[2] else f"{match[1]} not"
    return case.summary[: match.start()] + denied + case.summary[match.end() :]


def sentence_other(case: Case, draw: random.Random) -> str | None:
    """One sentence of the summary, replaced by one of the other document's summary."""
    mine, theirs = sentences(case.summary), sentences(case.other_summary)
    theirs = [sentence for sentence in theirs if sentence not in mine]
    if not mine or not theirs:
        return None
    mine[draw.randrange(len(mine))] = draw.choice(theirs)
    return " ".join(mine)


PERTURBATIONS: dict[str, Perturbation] = {
    each.__name__: each for each in (number_other, number_same, entity_other, entity_same, negation, sentence_other)
}


def _with_a_number_of(text: str, summary: str, draw: random.Random) -> str | None:
    mine = [each for each in quantities(summary) if each.sure]
    if not mine:
        return None
    old = draw.choice(mine)
    known = {each.value for each in mine}
    fresh = {each.value: each for each in quantities(text) if each.sure and each.value not in known}
    choices = [each for each in fresh.values() if _shape(each) == _shape(old)] or list(fresh.values())
    if not choices:
        return None
    new = draw.choice(choices)
    return summary[: old.start] + text[new.start : new.end] + summary[old.end :]


def _shape(quantity: Quantity) -> str:
    if "." in quantity.value:
        return "decimal"
    return "year" if len(quantity.value) == 4 and quantity.value[:2] in ("18", "19", "20") else "whole"


def _with_a_name_of(texts: Sequence[str], summary: str, draw: random.Random) -> str | None:
    mine = _names(summary)
    if not mine:
        return None
    old = draw.choice(mine)
    known = {each.text.lower() for each in mine}
    fresh = {each.text: each for text in texts for each in _names(text) if each.text.lower() not in known}
    choices = [each for each in fresh.values() if each.label == old.label] or list(fresh.values())
    return summary[: old.start] + draw.choice(choices).text + summary[old.end :] if choices else None


@lru_cache(maxsize=1 << 10)
def _names(text: str) -> tuple[Name, ...]:
    """The names of one text: every perturbation of a document asks for the same ones."""
    return tuple(names([text])[0])
