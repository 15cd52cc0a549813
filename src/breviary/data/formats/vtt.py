"""WebVTT, read strictly: a broken cue is an error with its line.

Lenient readers take a timing line that they cannot read for words of the cue before, and a talk silently gains
"00:01:2 --> 00:01:30" in the middle. W3C WebVTT, section 4.
"""

import re

from breviary.data import captions
from breviary.data.intake import Parsed
from breviary.data.signatures import decode
from breviary.errors import DataError

STAMP = r"(?:(\d{2,6}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
TIMING = re.compile(rf"[ \t]*{STAMP}[ \t]+-->[ \t]+{STAMP}(?:[ \t].*)?")


def parse(raw: bytes, name: str) -> Parsed:
    """The words of all cues as running text, with the time of each cue."""
    lines = [*re.split(r"\r\n|\n|\r", decode(raw)), ""]
    if not re.fullmatch(r"WEBVTT([ \t].*)?", lines[0]):
        raise DataError(f"{name}:1: a WebVTT file begins with the line 'WEBVTT', got {lines[0][:40]!r}; add it")
    cues, problems = read_cues(lines)
    if problems:
        captions.refuse(name, problems)
    if not cues:
        raise DataError(f"{name}: no cue in the whole file; leave it out, or get the captions again")
    return captions.join(cues)


def read_cues(lines: list[str]) -> tuple[list[captions.Cue], list[tuple[int, str]]]:
    """The cues, and (line, what is wrong) for each that cannot be read. A blank line ends a block."""
    cues, problems = list[captions.Cue](), list[tuple[int, str]]()
    block, first = list[str](), 1
    for number, line in enumerate(lines, 1):
        if line.strip(" \t"):
            first = first if block else number
            block.append(line)
        elif line and block and "-->" in block[-1]:
            block.append(line)  # rolling captions show an empty first line, spelt as one space
        elif block:
            _read_block(block, first, cues, problems)
            block = []
    return cues, problems


def _read_block(block: list[str], first: int, cues: list[captions.Cue], problems: list[tuple[int, str]]) -> None:
    if (first == 1 or re.match(r"(NOTE|STYLE|REGION)([ \t]|$)", block[0])) and "-->" not in "".join(block[:2]):
        return
    at = next((index for index, line in enumerate(block) if "-->" in line), None)
    if at is None or at > 1:
        problems.append((first, f"a cue without a timing line: {block[0][:40]!r}"))
        return
    timing = TIMING.fullmatch(block[at])
    again = next((index for index in range(at + 1, len(block)) if "-->" in block[index]), None)
    if timing is None:
        problems.append((first + at, f"not a timing line (00:00:01.000 --> 00:00:02.000): {block[at][:60]!r}"))
    elif again is not None:
        problems.append((first + again, "a timing line inside a cue; the blank line before it is missing"))
    else:
        start, end = _seconds(timing.groups()[:4]), _seconds(timing.groups()[4:])
        if end < start:
            problems.append((first + at, f"the cue ends before it begins: {block[at][:60]!r}"))
        elif cues and start < cues[-1].start:
            problems.append((first + at, f"the cue begins before the one above it: {block[at][:60]!r}"))
        cues.append(captions.Cue(start, end, "\n".join(block[at + 1 :])))


def _seconds(parts: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, thousandths = (int(part or 0) for part in parts)
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000
