"""Repair what would trip a tokenizer or a JSON reader later, and say what was repaired.

Line ends become newlines; lone surrogates (half of a UTF-16 pair, which no UTF-8 file can hold) become U+FFFD; other
control characters become spaces, or nothing where they are invisible marks or orders to a terminal (colours and the
like); the text is composed to Unicode NFC, so that one word has one spelling.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from breviary.data.intake import CONTROL_CHARACTERS, LINE_ENDS, LONE_SURROGATES, UNICODE_NFC

NEWLINES = re.compile("\r\n?|\x85|\u2028|\u2029")
SURROGATES = re.compile("[\ud800-\udfff]")
# soft hyphen, zero-width space, word joiner, byte-order mark; U+200C and U+200D stay: scripts and emoji need them
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # ECMA-48's control sequences: "\x1b[31m" is red
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> tuple[str, tuple[str, ...]]:
    """The repaired text, and which repairs changed it."""
    repairs = []
    for repair, pattern, instead in (
        (LINE_ENDS, NEWLINES, "\n"),
        (LONE_SURROGATES, SURROGATES, "\ufffd"),
        (CONTROL_CHARACTERS, INVISIBLE, ""),
        (CONTROL_CHARACTERS, ESCAPES, ""),
        (CONTROL_CHARACTERS, CONTROLS, " "),
    ):
        text, count = pattern.subn(instead, text)
        if count and repair not in repairs:
            repairs.append(repair)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
        repairs.append(UNICODE_NFC)
    return text, tuple(repairs)


def clean_timed(
    text: str, times: Sequence[tuple[int, float]]
) -> tuple[str, tuple[tuple[int, float], ...], tuple[str, ...]]:
    """The same for a text with timestamps: each offset still points at the word that it pointed at."""
    cuts = [0, *(offset for offset, _ in times), len(text)]
    pieces = [clean(text[start:end]) for start, end in pairwise(cuts)]
    offset, moved = len(pieces[0][0]), []
    for (_, seconds), (piece, _) in zip(times, pieces[1:], strict=True):
        moved.append((offset, seconds))
        offset += len(piece)
    repairs = dict.fromkeys(repair for _, found in pieces for repair in found)
    return "".join(piece for piece, _ in pieces), tuple(moved), tuple(repairs)
