"""SubRip, read strictly: number, timing line, words, blank line; a broken cue is an error with its line."""

import re
from collections.abc import Sequence
from itertools import pairwise

from breviary.data import captions
from breviary.data.intake import Parsed
from breviary.data.signatures import decode
from breviary.errors import DataError

STAMP = r"(\d{1,2}):([0-5]\d):([0-5]\d)[,.](\d{3})"
TIMING = re.compile(rf"[ \t]*{STAMP}[ \t]+-->[ \t]+{STAMP}(?:[ \t].*)?")
STRAY = re.compile(r"-->|^\s*\d{1,2}:\d{1,2}:\d{1,2}[,.]\d")  # a timing line, or an attempt at one


def parse(raw: bytes, name: str) -> Parsed:
    """The words of all cues as running text, with the time of each cue."""
    cues, problems = read_cues(re.split(r"\r\n|\n|\r", decode(raw)))
    if problems:
        captions.refuse(name, problems)
    if not cues:
        raise DataError(f"{name}: no cue in the whole file; leave it out, or get the captions again")
    return captions.join(cues)


def read_cues(lines: Sequence[str]) -> tuple[list[captions.Cue], list[tuple[int, str]]]:
    """The cues, and (line, what is wrong) for each that cannot be read.

    A cue begins at a number with an arrow on the next line: a blank line inside the words does not end it.
    """
    starts = [at for at in range(len(lines) - 1) if lines[at].strip().isdigit() and "-->" in lines[at + 1]]
    problems = list[tuple[int, str]]()
    head = next((at for at, line in enumerate(lines) if line.strip()), None)
    if head is not None and (not starts or head < starts[0]):
        problems.append((head + 1, f"a number and a timing line were expected here, got {lines[head][:40]!r}"))
    cues = list[captions.Cue]()
    for start, end in pairwise([*starts, len(lines)]):
        words = lines[start + 2 : end]
        arrow = next((start + 2 + at for at, line in enumerate(words) if STRAY.search(line)), None)
        if arrow is not None:
            problems.append((arrow + 1, "a timing line inside a cue; its number or the blank line before is missing"))
        problems += _read_cue(lines[start + 1], start + 2, "\n".join(words), cues)
    return cues, problems


def _read_cue(line: str, number: int, words: str, cues: list[captions.Cue]) -> list[tuple[int, str]]:
    timing = TIMING.fullmatch(line)
    if timing is None:
        return [(number, f"not a timing line (00:00:01,000 --> 00:00:02,000): {line[:60]!r}")]
    start, end = _seconds(timing.groups()[:4]), _seconds(timing.groups()[4:])
    late = bool(cues) and start < cues[-1].start
    cues.append(captions.Cue(start, end, words))
    if end < start:
        return [(number, f"the cue ends before it begins: {line[:60]!r}")]
    return [(number, f"the cue begins before the one above it: {line[:60]!r}")] if late else []


def _seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds, thousandths = map(int, parts)
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000
