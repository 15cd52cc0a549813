"""Where a summary ends: with the last whole sentence that fits the budget, never inside a word.

A model that is stopped by a limit stops in mid-sentence, and half of the summaries of other systems are read that way.
Here the text is cut back to the last sentence end at which it has at most `max_tokens` tokens, counted on the very text
that is returned. Whether a full stop ends a sentence is sentencex's judgement (abbreviations, initials, decimals,
quotations, other scripts). Where writing was broken off, the last stop is doubted: it may belong to an abbreviation
("Dr."), or to a number ("3." of "3.5"), and the sentence is then left out.

Where not even the first sentence fits, the text is cut at the end of a clause, else of a word, and closed with "…",
which counts too; `how` says so. A cut at a clause must keep half of what a cut at a word would.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from breviary.data import sentences
from breviary.errors import BudgetError

ELLIPSIS = "…"
Count = Callable[[str], int]  # tokens of a text
How = Literal["whole", "sentence", "clause", "word", "open", "empty"]

_WIDE_STOPS = "。！？｡．"  # no space follows these  # noqa: RUF001
_STOP = re.compile(rf"[.!?…{_WIDE_STOPS}؟۔।॥።]['\"”’“»›)\]】」』]*$")  # noqa: RUF001
_WIDE = re.compile(rf"[{_WIDE_STOPS}]\W*$")
_NUMBER = re.compile(r"\d\.$")
_NEXT = " Xu"  # no abbreviation, no known word: a stop before it ends a sentence only if it does so by itself
_CLAUSE = re.compile(r"[,;:،؛—–](?=\s)|\s(?=[—–]\s)|[、，；：]")  # noqa: RUF001
_BEFORE_ELLIPSIS = " \t\r\n,;:،؛—–、，；：-"  # noqa: RUF001
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")  # Han, kana


@dataclass(frozen=True)
class Ending:
    """A text within its budget, and how it got there."""

    text: str
    tokens: int
    how: How  # whole: as written; sentence, clause, word: cut there; open: as written, without a full stop; empty

    @property
    def flagged(self) -> bool:
        """Whether it does not end in a whole sentence."""
        return self.how in ("clause", "word", "open", "empty")


def fit(text: str, max_tokens: int, count: Count, *, finished: bool) -> Ending:
    """`text` cut back so that it has at most `max_tokens` by `count`; `finished` if its writer ended it.

    What comes back is the beginning of the text, but for the ellipsis, and is left as it is when it goes through here
    again as finished. Raises BudgetError where not one word fits.
    """
    text = text.strip() if finished else text.strip().rstrip("\ufffd").rstrip()  # half a character
    if not text:
        return Ending("", 0, "empty")
    ends = sentence_ends(text, finished=finished)
    if found := _longest(ends, max_tokens, lambda end: text[:end], count):
        return Ending(*found, "whole" if len(found[0]) == len(text) else "sentence")
    if not ends and finished and (tokens := count(text)) <= max_tokens:
        return Ending(text, tokens, "open")
    return _shortened(text, max_tokens, count, finished=finished)


def sentence_ends(text: str, *, finished: bool) -> list[int]:
    """Where sentences of `text` end, ascending: after the full stop and the quotes and brackets that close with it."""
    found = []
    for start, stop in sentences.spans(text):
        end = start + len(text[start:stop].rstrip())
        if not _STOP.search(text[start:end]):
            continue  # a heading, or the words that were broken off
        if end == len(text.rstrip()):
            is_end = finished or _ends_by_itself(text[:end])
        else:
            is_end = text[end].isspace() or _WIDE.search(text[start:end])  # not inside "Node.Js"
        if is_end:
            found.append(end)
    return found


def _ends_by_itself(text: str) -> bool:
    """Whether a text that was broken off happens to stop where a sentence does."""
    if _NUMBER.search(text):
        return False
    return any(end in (len(text), len(text) + 1) for _, end in sentences.spans(text + _NEXT))


def _shortened(text: str, max_tokens: int, count: Count, *, finished: bool) -> Ending:
    """The first sentence, or what there is of it, cut at a clause or a word."""

    def cut(end: int) -> str:
        return text[:end].rstrip(_BEFORE_ELLIPSIS) + ELLIPSIS

    words = [place for place in _word_ends(text, finished=finished) if len(cut(place)) > len(ELLIPSIS)]
    longest = _longest(words, max_tokens, cut, count)
    if longest is None:
        raise BudgetError(
            f"a budget of {max_tokens} tokens does not hold one word of the summary; raise the number of tokens"
        )
    kept = len(longest[0]) - len(ELLIPSIS)
    clauses = [found.start() for found in _CLAUSE.finditer(text) if kept / 2 <= found.start() <= kept]
    clause = _longest(clauses, max_tokens, cut, count)
    return Ending(*clause, "clause") if clause else Ending(*longest, "word")


def _longest(ends: Sequence[int], max_tokens: int, cut: Callable[[int], str], count: Count) -> tuple[str, int] | None:
    """The text up to the last of `ends` that fits, and its tokens.

    A longer text hardly ever has fewer tokens, so that the place is searched by halves, and then made sure of.
    """
    if not ends:
        return None
    last = len(ends) - 1
    if count(cut(ends[last])) > max_tokens:
        last = bisect_right(ends, max_tokens, key=lambda end: count(cut(end))) - 1
    for end in reversed(ends[: last + 1]):
        if (tokens := count(text := cut(end))) <= max_tokens:
            return text, tokens
    return None


def _word_ends(text: str, *, finished: bool) -> list[int]:
    """Where words end: before white space, and on both sides of a character of a script that has none."""
    inside = [
        place
        for place, (before, after) in enumerate(pairwise(text), 1)
        if after.isspace() or _UNSPACED.match(before) or _UNSPACED.match(after)
    ]
    return [*inside, *([len(text)] if finished else [])]
