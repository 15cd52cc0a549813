"""Where sentences end, as character spans that cover a text without a gap.

sentencex (Wikimedia's rule-based splitter, a few microseconds a sentence) knows abbreviations, quotations and
paragraph breaks. Two of its failures are kept out here: version 1.0.32 panics on a wide space before an initial
("\\xa0J. Smith") and refuses lone surrogates, so it is shown a plain space in their place; offsets do not move.

Speech without punctuation comes back as one sentence of any length. `pieces` cuts what is too long at the last word
boundary that fits, and inside a word only where one word alone does not fit.
"""

import re
from collections.abc import Callable, Iterator

import sentencex

Span = tuple[int, int]
Offsets = Callable[[str], list[Span]]  # for each token of a text, the characters that it covers

_UNSAFE = re.compile(r"[^\S \n]|[\ud800-\udfff]")


def spans(text: str, language: str = "en") -> list[Span]:
    """The sentences of `text` in order, each with the white space that follows it; together they are the text."""
    found: list[Span] = []
    boundaries = sentencex.get_sentence_boundaries(language, _UNSAFE.sub(" ", text))  # pyright: ignore[reportAttributeAccessIssue]
    for boundary in boundaries:
        start, end = boundary["start_index"], boundary["end_index"]
        if found and not text[start:end].strip():
            found[-1] = (found[-1][0], end)
        elif found and not text[slice(*found[-1])].strip():
            found[-1] = (found[-1][0], end)  # white space at the very start of the text
        else:
            found.append((start, end))
    return found


def pieces(text: str, span: Span, offsets: Offsets, *, limit: int, size: int) -> Iterator[Span]:
    """`span` itself if it has at most `limit` tokens, else runs of whole words of at most `size` tokens each."""
    start, end = span
    inside = offsets(text[start:end])
    if len(inside) <= limit:
        yield span
        return
    places = [start + place for place, _ in inside]  # where each token begins, in the text
    first = 0
    while start < end:
        cut = _cut(text, start, end, places, first, offsets, size)
        yield start, cut
        start = cut
        while first < len(places) and places[first] < cut:
            first += 1


def _cut(text: str, start: int, end: int, places: list[int], first: int, offsets: Offsets, size: int) -> int:
    """The end of the longest run of words from `start` that has at most `size` tokens; at least one character."""
    for allowed in range(size, 0, -1):  # more than one turn only where cutting a word makes more tokens of it
        reach = places[first + allowed] if first + allowed < len(places) else end
        cut = reach if reach == end else _word_boundary(text, start, reach)
        if start < cut and len(offsets(text[start:cut])) <= size:
            return cut
    return start + 1


def _word_boundary(text: str, start: int, reach: int) -> int:
    """The last place up to `reach` that follows white space, or `reach` if there is none after `start`."""
    if text[reach].isspace():  # a byte-level token begins with the space before its word
        return reach
    place = reach
    while place > start and not text[place - 1].isspace():
        place -= 1
    return place if text[start:place].strip() else reach
