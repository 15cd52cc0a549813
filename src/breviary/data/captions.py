"""From caption cues to running text: words joined across cues, each cue's time kept, rolling captions told once.

Automatic captions roll: each cue repeats the words that are still on the screen and adds a few. Whether a track rolls
is decided for the whole track, so that a speaker who really says a thing twice is not cut.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

from breviary.data.intake import ROLLING_CAPTIONS, SOUND_CAPTIONS, Parsed
from breviary.errors import DataError, listed

ROLLING_SHARE = 0.3  # of neighbouring cues that must repeat words; of 102 ordinary tracks measured, at most 0.025
TAGS = re.compile(r"</?[a-zA-Z0-9:][^<>]*>|\{\\[^{}]*\}")  # <c>, <v Name>, <00:00:01.000>, {\an8}
TOO_LARGE = re.compile(r"&#[0-9]{20,};?")  # no character has such a number, and Python reads none of 4,300 digits
SOUND = re.compile(r"\[[^\[\]]*\]|[♪♫\s]+")  # [Music], [Applause]


@dataclass(frozen=True)
class Cue:
    """What stands on the screen from `start` to `end`, in seconds."""

    start: float
    end: float
    text: str


def refuse(name: str, problems: Sequence[tuple[int, str]]) -> NoReturn:
    """Raise DataError with (line, what is wrong) of the cues of file `name` that cannot be read."""
    lines = [f"{name}:{line}: {what}" for line, what in problems]
    raise DataError(listed(lines, "mend these lines, get the captions again, or leave the file out"))


def join(cues: Sequence[Cue]) -> Parsed:
    """The text of `cues`, the time at which each cue begins, and what was repaired."""
    shown = [(cue.start, _plain(cue.text).split()) for cue in cues]
    spoken = [(start, words) for start, words in shown if words and not SOUND.fullmatch(" ".join(words))]
    sounds = sum(bool(words) for _, words in shown) - len(spoken)
    rolling = rolls([words for _, words in spoken])
    text, times, before = "", [], list[str]()
    for start, words in spoken:
        new = words[overlap(before, words) :] if rolling else words
        before = words
        if new:
            text += " " if text else ""
            times.append((len(text), round(start, 3)))
            text += " ".join(new)
    repairs = ((ROLLING_CAPTIONS,) if rolling else ()) + ((SOUND_CAPTIONS,) if sounds else ())
    return Parsed(text=text, times=tuple(times), repairs=repairs)


def _plain(text: str) -> str:
    return html.unescape(TOO_LARGE.sub("\ufffd", TAGS.sub("", text)))


def rolls(cues: Sequence[Sequence[str]]) -> bool:
    """Whether enough cues begin with the words that ended the one before."""
    repeats = [overlap(before, words) > 0 for before, words in pairwise(cues)]
    return len(repeats) > 1 and sum(repeats) >= ROLLING_SHARE * len(repeats)


def overlap(before: Sequence[str], words: Sequence[str]) -> int:
    """How many words at the end of `before` stand again at the head of `words`.

    One word alone counts only if it was the whole cue: "the" may well end one cue and begin the next.
    """
    count = 0
    borders = _borders(words)
    for word in before[-len(words) :]:  # Knuth, Morris, Pratt 1977: a cue may hold a whole file
        while count and words[count] != word:
            count = borders[count - 1]
        count += bool(words) and words[count] == word
    return count if count > 1 or len(before) == 1 else 0


def _borders(words: Sequence[str]) -> list[int]:
    """Of each beginning of `words`, how many words at its end are also at its head, itself left out."""
    found = [0] * len(words)
    for at in range(1, len(words)):
        count = found[at - 1]
        while count and words[count] != words[at]:
            count = found[count - 1]
        found[at] = count + (words[count] == words[at])
    return found
