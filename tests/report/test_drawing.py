"""Figures and numbers: escaping, ticks, labels that do not overlap, units."""

import xml.etree.ElementTree as xml
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.report import figures, panels, svg, wording


def test_content_and_attributes_are_escaped() -> None:
    assert svg.element("text", "a < b", title='"') == '<text title="&#34;">a &lt; b</text>'


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_ticks_are_few_even_and_inside(low: float, width: float) -> None:
    high = low + width
    found = svg.ticks(low, high)
    assert len(found) <= 8
    assert all(low - width * 1e-6 <= tick <= high + width * 1e-6 for tick in found)


def test_ticks_are_round() -> None:
    assert svg.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0] or svg.ticks(0, 1) == [0, 0.25, 0.5, 0.75, 1.0]
    assert svg.ticks(4.4, 5.7) == [4.5, 5.0, 5.5]
    assert svg.ticks(3, 3) == [3]


@given(st.lists(st.floats(0, 100), max_size=5))
def test_names_beside_lines_are_apart_and_in_order(places: list[float]) -> None:
    moved = svg.apart(places, 13.0, 0.0, 100.0)
    assert all(second - first > 12.9 for first, second in pairwise(sorted(moved)))
    order = sorted(range(len(places)), key=lambda at: places[at])
    assert [moved[at] for at in order] == sorted(moved)


def test_figures_are_well_formed_and_say_what_they_show() -> None:
    series = [figures.Series("a & b", [[(1.0, 2.0)], []], 1), figures.Series("c", [[], [(1.0, 2.0), (2.0, 2.0)]], 2)]
    row = {"name": "<base>", "kind": "model", "mean": 0.5, "low": None, "high": None}
    drawn = [
        figures.lines("losses", series, [("phase1", 1), ("phase2", 2)]),
        figures.intervals("one", [row]),
        figures.spreads("lengths", [row | {"quantiles": [0, 0, 0, 0, 0], "values": []}]),
        figures.histogram("margins", 1.0, 0.05, {"mined": [1], "others": [2]}, 1.15),
    ]
    for each in drawn:
        root = xml.fromstring(each)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert "nan" not in each


def test_heat_follows_the_direction_of_the_measure() -> None:
    column = {"base": {"mean": 5.0}, "p1": {"mean": 4.0}, "p2": {"mean": 4.5}}
    assert panels.heat(column, higher_is_better=False) == {"base": 0.0, "p1": 1.0, "p2": 0.5}
    assert panels.heat(column, higher_is_better=True) == {"base": 1.0, "p1": 0.0, "p2": 0.5}
    assert panels.heat({"base": {"mean": 1.0}}, higher_is_better=True) == {"base": 0.5}


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (wording.number(0.12345), "0.123"),
        (wording.number(-0.0001), "0.000"),
        (wording.number(-0.05), "\u22120.050"),
        (wording.number(1234.56), "1,234.6"),
        (wording.number(None), "\u2013"),
        (wording.signed(0.5), "+0.500"),
        (wording.signed(0.0), "0.000"),
        (wording.interval({"mean": 0.5, "low": 0.4, "high": 0.6}), "0.400\u00a0\u2013\u00a00.600"),
        (wording.interval({"mean": 0.5, "low": -0.4, "high": 0.6}), "\u22120.400\u00a0to\u00a00.600"),
        (wording.interval({"mean": 0.5, "low": None, "high": None}), "no interval"),
        (wording.percent(0.917), "92\u202f%"),
        (wording.probability(0.0004), "< 0.001"),
        (wording.seconds(59.94), "59.9\u202fs"),
        (wording.seconds(308.2), "5\u202fmin 08\u202fs"),
        (wording.seconds(3725), "1\u202fh 02\u202fmin"),
        (wording.size(6.1e9), "6.1\u202fGB"),
        (wording.size(71), "71\u202fB"),
    ],
)
def test_numbers_are_written_for_people(made: str, text: str) -> None:
    assert made == text
