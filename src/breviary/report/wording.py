"""Numbers as people read them: a true minus, the same digits in a row, units that fit the size."""

from collections.abc import Mapping
from typing import Any

from breviary.report.svg import Number

MINUS, DASH, NONE, TIGHT = "\u2212", "\u2013", "\u2013", "\u00a0"  # TIGHT: no line ends there
SMALL = 2.0  # below it, three decimals: what a score between 0 and 1 needs


def number(value: Number | None, like: Number | None = None) -> str:
    """The value with decimals that fit `like` (itself, where that is not given)."""
    if value is None:
        return NONE
    size = abs(value if like is None else like)
    text = f"{value:.3f}" if size < SMALL else f"{value:.2f}" if size < 10 else f"{value:,.1f}"
    return _signed(text)


def signed(value: Number | None) -> str:
    """The value with its sign, + too."""
    if value is None:
        return NONE
    text = number(value)
    return text if text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def brief(value: Number | None) -> str:
    """Three digits, whatever the size."""
    return NONE if value is None else _signed(f"{value:.3g}")


def interval(found: Mapping[str, Any]) -> str:
    """Both ends of an interval, with the decimals of its mean, or what stands for no interval."""
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return "no interval"
    like = found.get("mean", found.get("value", found.get("difference")))
    ends = number(low, like), number(high, like)
    return f"{TIGHT}{'to' if any(end.startswith(MINUS) for end in ends) else DASH}{TIGHT}".join(ends)


def percent(share: Number | None) -> str:
    """A share as a whole percentage."""
    return NONE if share is None else _signed(f"{share:.0%}").replace("%", "\u202f%")


def probability(p: Number | None) -> str:
    """A p value; below 0.001 it is not told apart."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def seconds(value: Number | None) -> str:
    """A duration: seconds, minutes or hours, each with at most two figures after the larger one."""
    if value is None:
        return NONE
    if value < 100:
        return f"{value:.1f}\u202fs"
    whole = round(value)
    if value < 3600:
        return f"{whole // 60}\u202fmin {whole % 60:02d}\u202fs"
    return f"{whole // 3600}\u202fh {whole % 3600 // 60:02d}\u202fmin"


def size(value: Number | None) -> str:
    """Bytes, in the decimal unit that fits."""
    if value is None:
        return NONE
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= factor:
            return f"{value / factor:.1f}\u202f{unit}"
    return f"{value:.0f}\u202fB"


def count(value: int | None) -> str:
    """A whole number, thousands set apart."""
    return NONE if value is None else f"{value:,}"


def _signed(text: str) -> str:
    """A true minus; none before a zero."""
    return text.replace("-", MINUS) if text.strip("-0.,%") else text.lstrip("-")
