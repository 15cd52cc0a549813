"""SVG by hand: elements whose content is escaped, scales from values to points of the drawing, ticks at round values.

Colours and fonts come from page.css by class, so that a figure follows light, dark and print with no second drawing.
Every drawing is WIDTH wide, about what a phone shows, so that its text is as large as the text around it.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, floor, log10

from markupsafe import Markup

WIDTH = 340.0
Number = float | int
Scale = Callable[[Number], float]


def element(tag: str, *inside: object, **attributes: object) -> Markup:
    """`<tag attributes>inside</tag>`; `class_` is class, `text_anchor` is text-anchor, numbers have one decimal."""
    written = [
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _value(value))
        for name, value in attributes.items()
        if value is not None
    ]
    return Markup("<{0}{1}>{2}</{0}>").format(
        Markup(tag), Markup("").join(written), Markup("").join(map(_text, inside))
    )


def drawing(title: str, height: Number, *inside: object) -> Markup:
    """A whole figure; `title` is what a screen reader says of it."""
    box = f"0 0 {WIDTH:.0f} {height:.0f}"
    return element("svg", *inside, viewBox=box, role="img", aria_label=title, class_="figure")


def scale(low: Number, high: Number, start: Number, end: Number) -> Scale:
    """The straight line that takes low to start and high to end; all to the middle where low is high."""
    if low == high:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(low: Number, high: Number, about: int = 4) -> list[Number]:
    """Round values (1, 2 or 5 times a power of ten apart) inside low to high, about that many."""
    if low == high:
        return [low]
    power = 10 ** floor(log10((high - low) / about))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda each: abs((high - low) / each - about))
    first = ceil(low / step - 1e-9)
    return [round(at * step, 10) + 0.0 for at in range(first, floor(high / step + 1e-9) + 1)]


def label(value: Number) -> str:
    """A tick's value, with no more digits than it has."""
    return f"{value:,.10g}".replace("-", "\u2212")


def apart(places: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """The places moved as little as a simple rule can, so that none is nearer than `distance` to another."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    moved = list(places)
    for before, at in pairwise(order):
        moved[at] = max(moved[at], moved[before] + distance)
    over = max((moved[at] for at in order), default=low) - high
    if over > 0:
        ceiling = high
        for at in reversed(order):
            moved[at] = min(moved[at], ceiling)
            ceiling = moved[at] - distance
    return [max(low, place) for place in moved]


def text(x: Number, y: Number, content: str, class_: str = "", anchor: str = "start") -> Markup:
    """Words at a place."""
    return element("text", content, x=x, y=y, class_=class_ or None, text_anchor=None if anchor == "start" else anchor)


def line(x1: Number, y1: Number, x2: Number, y2: Number, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _value(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


def _text(value: object) -> str:  # a Markup is a str that is not escaped again
    return value if isinstance(value, Markup) else str(value)
