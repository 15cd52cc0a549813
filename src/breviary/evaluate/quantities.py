"""The numbers of a text and the value of each, however it is written: 1,000 and "a thousand" are the same number.

A value is a number without its unit, sign or rank: "5 %", "five", "fifth" and "5th" are 5; "3.5 million" and "3.5M" are
3500000; "the 1990s" is 1990; "nineteen ninety" is 1990; "three point five" is 3.5. What has two dots or more (2.5.1) is
a version and stays as it is written. Digits after a letter belong to a name (BERT4Rec, v2.1) and are no number; digits
after a hyphen are (GPT-2).

"one", "first" and "second" alone are often no numbers ("no one", "at first", "a second"): they are found, and marked as
not `sure`. Not read: "half", "dozen", the third of "two thirds", Roman numerals, words of other languages than English.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
UNLIKE = {"first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12}
CARDINALS = {word: value for value, word in enumerate(ONES + TEENS)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
ORDINALS = {word[:-1] + "ieth" if word[-1] == "y" else word + "th": value for word, value in CARDINALS.items()} | UNLIKE
SMALL = CARDINALS | ORDINALS
POWERS = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES = {"hundred": 100} | POWERS
SUFFIXES = {"k": 10**3, "M": 10**6, "B": 10**9, "bn": 10**9}  # "5m" may be five metres
UNSURE = {"one", "first", "second"}


def _between(low: int, high: int) -> str:
    return rf"(?:{'|'.join(sorted(word for word, value in SMALL.items() if low <= value <= high))})\b"


GAP = r"[\s-]+"
AND = rf"{GAP}(?:and{GAP})?"
TO_99 = rf"(?:{_between(20, 90)}(?:{GAP}{_between(1, 9)})?|{_between(0, 19)})"
TO_999 = rf"(?:(?:{TO_99}{GAP})?hundred(?:th)?\b(?:{AND}{TO_99})?|{TO_99})"
SCALED = rf"(?:{TO_999}{GAP})?(?:{'|'.join(POWERS)})(?:th)?\b"
CARDINAL = rf"(?:{SCALED}(?:{AND}{SCALED})*(?:{AND}{TO_999})?|{TO_999})"
YEAR = rf"{_between(13, 20)}{GAP}(?:{_between(20, 90)}(?:{GAP}{_between(1, 9)})?|{_between(10, 19)})"
DECIMAL = rf"{TO_99}\s+point(?:\s+{_between(0, 9)})+"
GROUPED = "\\d{1,3}(?:[,\u00a0\u2009\u202f]\\d{3})+"  # a comma, or a space that no line breaks at
DIGITS = rf"(?:{GROUPED}|\d+)(?!\d)(?:\.\d+)*|(?<!\d)\.\d+"
UNIT = rf"(?-i:(?P<suffix>{'|'.join(SUFFIXES)}))\b|(?P<scales>(?:[\s-](?:{'|'.join(SCALES)})\b)+)"
NAME = r"[^\W\d]\w*(?:(?<=\d)(?:\.\d+)+)?"  # any word that is no number, so that the digits in it are passed over
NUMBER = re.compile(
    rf"\b(?:(?P<decimal>{DECIMAL})|(?P<year>{YEAR})|(?P<words>{CARDINAL}))|{NAME}|(?P<digits>{DIGITS})(?:{UNIT})?",
    flags=re.IGNORECASE,
)


@dataclass(frozen=True)
class Quantity:
    """A number that stands in a text from `start` to `end`, in characters."""

    start: int
    end: int
    value: str  # decimal digits without sign, exponent or needless zeros; a version as it is written
    sure: bool  # False: perhaps no number, but an idiom


def quantities(text: str) -> list[Quantity]:
    """The numbers of `text`, in order and without overlap."""
    return [
        Quantity(match.start(), match.end(), value, match.group().lower() not in UNSURE)
        for match in NUMBER.finditer(text)
        if (value := _value(match))
    ]


def _value(match: re.Match[str]) -> str:
    """The value of a number; "" of a word that is none."""
    if match["digits"]:
        return _of_digits(match)
    words = re.findall("[a-z]+", match.group().lower())
    if match["decimal"]:
        at = words.index("point")
        return _plain(Decimal(f"{_sum(words[:at])}.{''.join(str(SMALL[word]) for word in words[at + 1 :])}"))
    if match["year"]:
        return str(100 * SMALL[words[0]] + _sum(words[1:]))
    return str(_sum(words)) if match["words"] else ""


def _of_digits(match: re.Match[str]) -> str:
    digits = re.sub("[,\u00a0\u2009\u202f]", "", match["digits"])
    if digits.count(".") > 1:
        return digits
    value = Decimal(digits) * SUFFIXES.get(match["suffix"] or "", 1)
    for word in re.findall("[a-z]+", (match["scales"] or "").lower()):
        value *= SCALES[word]
    return _plain(value)


def _sum(words: Sequence[str]) -> int:
    """The value of a number in words: what stands before a scale is multiplied by it, the rest is added."""
    total = part = 0
    for word in words:
        scale = word.removesuffix("th") if word.removesuffix("th") in SCALES else ""
        if scale == "hundred":
            part = max(part, 1) * 100
        elif scale:
            total, part = total + max(part, 1) * SCALES[scale], 0
        elif word != "and":
            part += SMALL[word]
    return total + part


def _plain(value: Decimal) -> str:
    """The digits of a value, so that 0.50 and .5 are the same."""
    written = f"{value:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written.lstrip("0") or "0"
