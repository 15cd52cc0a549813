"""The figures of the report: curves, intervals, spreads, and a histogram. What each class looks like is in page.css."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from breviary.report.svg import WIDTH, Number, Scale, apart, drawing, element, label, line, scale, text, ticks
from breviary.report.wording import number

ROW, TOP, AXIS = 22.0, 8.0, 26.0  # heights: of a row, above the first, of the axis below
LEFT, RIGHT = 44.0, 58.0  # widths beside a curve: for ticks, for names
NAME, VALUE = 78.0, 52.0  # widths beside rows: for names, for numbers
HEIGHT = 190.0
FEW = 40  # points up to which each is marked


@dataclass(frozen=True)
class Series:
    """One line of a figure of curves: for each phase its (step, value) points, counted from the phase's first step."""

    name: str
    phases: Sequence[Sequence[tuple[float, float]]]
    colour: int  # which of the page's colours, from 1


def lines(title: str, series: Sequence[Series], phases: Sequence[tuple[str, int]]) -> Markup:
    """Curves through all phases, end to end; `phases` are names and numbers of steps."""
    values = [value for each in series for points in each.phases for _, value in points]
    low, high = min(values), max(values)
    spare = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    across = scale(0, max(1, sum(steps for _, steps in phases)), LEFT, WIDTH - RIGHT)
    up = scale(low - spare, high + spare, HEIGHT - AXIS, 22.0)
    drawn = [*_grid(up, ticks(low, high), LEFT, WIDTH - RIGHT), *_phases(phases, across)]
    ends = [up(points[-1][1]) for each in series for points in [next(p for p in reversed(each.phases) if p)]]
    places = apart(ends, 13.0, 22.0, HEIGHT - AXIS)
    for each, place in zip(series, places, strict=True):
        drawn.append(_curve(each, phases, across, up))
        if len(series) > 1:
            drawn.append(text(WIDTH - RIGHT + 7, place + 4, each.name, f"name c{each.colour}"))
    return drawing(title, HEIGHT, *drawn)


def _grid(up: Scale, at: Sequence[Number], left: float, right: float) -> list[Markup]:
    return [
        element(
            "g",
            line(left, up(tick), right, up(tick), "grid"),
            text(left - 6, up(tick) + 3.5, label(tick), "tick", "end"),
        )
        for tick in at
    ]


def _phases(phases: Sequence[tuple[str, int]], across: Scale) -> list[Markup]:
    """The phases' names above and their lengths below, with a rule between one and the next."""
    drawn, start = [], 0
    for name, steps in phases:
        if start:
            drawn.append(line(across(start), 14, across(start), HEIGHT - AXIS, "rule"))
        drawn.append(text((across(start) + across(start + steps)) / 2, 10, name, "tick", "middle"))
        drawn.append(
            text((across(start) + across(start + steps)) / 2, HEIGHT - AXIS + 14, f"{steps} steps", "tick", "middle")
        )
        start += steps
    return drawn


def _curve(series: Series, phases: Sequence[tuple[str, int]], across: Scale, up: Scale) -> Markup:
    drawn, start = [], 0
    few = sum(map(len, series.phases)) <= FEW
    for points, (_, steps) in zip(series.phases, phases, strict=True):
        placed = [(across(start + step), up(value)) for step, value in points]
        if len(placed) > 1:
            drawn.append(element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)))
        if few:
            drawn += [element("circle", cx=x, cy=y, r=2.2) for x, y in placed]
        start += steps
    return element("g", *drawn, class_=f"curve c{series.colour}")


def intervals(title: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """A dot and an interval for each row: name, mean, low, high, kind ("model", "target" or "baseline")."""
    ends = [float(row[key]) for row in rows for key in ("mean", "low", "high") if row[key] is not None]
    low, high = min(ends), max(ends)
    left, right = NAME + 8, WIDTH - VALUE - 8
    across = scale(low, high, left, right)
    bottom = TOP + ROW * len(rows)
    drawn = [*_upright(across, ticks(low, high), TOP, bottom)]
    for at, row in enumerate(rows):
        y = TOP + ROW * (at + 0.5)
        parts = [text(NAME, y + 4, row["name"], "name", "end"), text(WIDTH, y + 4, number(row["mean"]), "value", "end")]
        if row["low"] is not None and row["high"] is not None:
            parts.append(line(across(row["low"]), y, across(row["high"]), y, "whisker"))
        parts.append(element("circle", cx=across(row["mean"]), cy=y, r=4.0))
        drawn.append(element("g", *parts, class_=f"row {row['kind']}"))
    return drawing(title, bottom + AXIS, *drawn)


def spreads(title: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """For each row its values as faint marks, 5 to 95 % as a thin line, 25 to 75 % thick, the median as a dot."""
    high = max(max([row["quantiles"][-1], *row["values"]]) for row in rows)
    across = scale(0.0, high or 1.0, NAME + 8, WIDTH - VALUE - 8)
    bottom = TOP + ROW * len(rows)
    drawn = [*_upright(across, ticks(0.0, high or 1.0), TOP, bottom)]
    for at, row in enumerate(rows):
        y = TOP + ROW * (at + 0.5)
        low, first, median, third, top = map(across, row["quantiles"])
        parts = [
            text(NAME, y + 4, row["name"], "name", "end"),
            *(line(across(value), y - 6, across(value), y + 6, "single") for value in row["values"]),
            line(low, y, top, y, "whisker"),
            line(first, y, third, y, "box"),
            element("circle", cx=median, cy=y, r=3.2),
            text(WIDTH, y + 4, f"{row['quantiles'][2]:,.0f}", "value", "end"),
        ]
        drawn.append(element("g", *parts, class_=f"row {row['kind']}"))
    return drawing(title, bottom + AXIS, *drawn)


def _upright(across: Scale, at: Sequence[Number], top: float, bottom: float) -> list[Markup]:
    return [
        element(
            "g",
            line(across(tick), top, across(tick), bottom, "grid"),
            text(across(tick), bottom + 14, label(tick), "tick", "middle"),
        )
        for tick in at
    ]


def histogram(title: str, low: Number, width: Number, counts: Mapping[str, Sequence[int]], threshold: Number) -> Markup:
    """Stacked columns, a colour for each kind in the order given, and a rule at the threshold."""
    totals = [sum(column) for column in zip(*counts.values(), strict=True)]
    high = low + width * len(totals)
    across = scale(min(low, threshold), max(high, threshold), 30.0, WIDTH - 10)
    up = scale(0, max(totals), HEIGHT - AXIS, 22.0)
    drawn = _grid(up, ticks(0, max(totals)), 30.0, WIDTH - 10)
    base = [0] * len(totals)
    for colour, (kind, column) in enumerate(counts.items(), 1):
        for at, many in enumerate(column):
            if many:
                x, y = across(low + width * at), up(base[at] + many)
                wide, tall = across(low + width * (at + 1)) - x - 1, up(base[at]) - y
                note = element("title", f"{label(round(low + width * at, 6))}: {many} {kind}")
                drawn.append(element("rect", note, x=x, y=y, width=wide, height=tall, class_=f"column c{colour}"))
            base[at] += many
    for tick in ticks(low, high, 6):
        drawn.append(text(across(tick), HEIGHT - AXIS + 14, label(tick), "tick", "middle"))
    drawn.append(line(across(threshold), 14, across(threshold), HEIGHT - AXIS, "limit"))
    drawn.append(text(across(threshold) + 4, 18, f"needed: {label(threshold)}", "tick"))
    return drawing(title, HEIGHT, *drawn)
