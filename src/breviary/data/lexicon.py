"""Which tokens of a summary belong to a term of a lexicon: found as whole words, then carried over to tokens.

A term is one word or several. It matches where the text has these words, whatever their case, the width of the white
space between them and the way accents and hyphens are encoded; where two terms begin at one place, the longest wins.
Letters, marks and digits make a word, and a hyphen or an apostrophe between two of them joins: `art` is in neither
"party" nor "state-of-the-art", and `attention` is not in "self-attention". A possessive 's may follow, and is no part
of the match. Nothing else is inflected: a plural is a line of its own.

Tokens come second. Marking every token id that any term is made of would mark common pieces of other words.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import regex

from breviary.errors import ConfigError

Span = tuple[int, int]

LETTER = r"[\p{L}\p{M}\p{N}_]"
HYPHEN, APOSTROPHE = r"[\-\u2010\u2011]", r"['\u2019]"
JOIN = f"(?:{HYPHEN}|{APOSTROPHE})"


def require_terms(words: Sequence[str]) -> None:
    """Raise ConfigError for every one of `words` that is not a term, or that repeats one."""
    first: dict[str, str] = {}
    problems = []
    for word in words:
        if not regex.search(LETTER, word):
            problems.append(f"{word!r} has neither a letter nor a digit")
        elif first.setdefault(_folded(word), word) != word or list(words).count(word) > 1:
            problems.append(f"{word!r} repeats {first[_folded(word)]!r}; case does not matter")
    if problems:
        raise ConfigError("; ".join(dict.fromkeys(problems)))


def spans(text: str, terms: Sequence[str]) -> list[Span]:
    """Where `terms` stand in `text`, in order and without overlap."""
    return [match.span() for match in _pattern(tuple(terms)).finditer(text)]


def marks(text: str, offsets: Sequence[Span], spans: Sequence[Span]) -> tuple[bool, ...]:
    """For each token of `text`, which covers the characters `offsets[i]`, whether one of them is inside a span.

    White space does not count: many tokens begin with the space before a word, and that of the next word may be a
    token of its own.
    """
    inside = [False] * len(text)
    for start, end in spans:
        inside[start:end] = [not character.isspace() for character in text[start:end]]
    return tuple(any(inside[start:end]) for start, end in offsets)


def _folded(term: str) -> str:
    """One spelling for all that match the same text."""
    composed = " ".join(unicodedata.normalize("NFC", term).lower().split())
    return regex.sub(APOSTROPHE, "'", regex.sub(HYPHEN, "-", composed))


@lru_cache(maxsize=8)
def _pattern(terms: tuple[str, ...]) -> Any:
    longest_first = sorted(terms, key=lambda term: (-len(term), term))
    choices = "|".join(dict.fromkeys(spelling for term in longest_first for spelling in _spellings(term)))
    before = f"(?<!{LETTER})(?<!{LETTER}{JOIN})"
    after = f"(?={APOSTROPHE}s(?!{LETTER})|(?!{LETTER}|{JOIN}{LETTER}))"
    return regex.compile(f"{before}(?:{choices}){after}", regex.IGNORECASE)


def _spellings(term: str) -> list[str]:
    """Patterns of a term, with its accents composed and decomposed: the text is not rewritten, offsets would move."""
    forms = (unicodedata.normalize(form, term) for form in ("NFC", "NFD"))
    return [r"\s+".join(_word(word) for word in form.split()) for form in forms]


def _word(word: str) -> str:
    hyphens = regex.split(HYPHEN, word)
    return HYPHEN.join(APOSTROPHE.join(map(regex.escape, regex.split(APOSTROPHE, part))) for part in hyphens)
