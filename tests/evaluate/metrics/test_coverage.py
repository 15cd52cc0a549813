"""Where a summary's sentences come from, in sources whose thirds are counted by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.evaluate.metrics import coverage

EARLY, MIDDLE, LATE = "Bees build wax combs.", "Rivers carry brown sand.", "Glass melts near furnaces."
TWO = f"{EARLY} {MIDDLE}"
SOURCE = f"{TWO} {LATE}"
WORDS = st.lists(st.sampled_from(["bee", "wax", "comb", "river", "sand", "glass"]), min_size=1, max_size=12).map(
    " ".join
)


def placed(summary: str, source: str = SOURCE) -> list[float]:
    return [coverage.score(summary, "", source)[name] for name in (*coverage.THIRDS, coverage.NONE)]


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        (EARLY, [1, 0, 0, 0]),
        (f"{LATE} {LATE}", [0, 0, 1, 0]),
        (f"The combs were built by a bee. {MIDDLE}", [1 / 2, 1 / 2, 0, 0]),
        (f"{SOURCE} Nobody said so.", [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
    ],
)
def test_a_sentence_counts_for_the_third_that_supports_it(summary, expected):
    assert placed(summary) == pytest.approx(expected)


def test_support_computed_by_hand():
    # of 3 sentences "the" has 3 (weight 0), "bees" 1, "sing" none (both ln 3), "the bees" 1, "bees sing" none
    known = coverage.read("The bees build. The rivers flow. The glass melts.")
    support, third = known.support(["the", "bee", "sing"])  # "bees" has four letters, so it is stemmed
    assert (support, third) == (pytest.approx(2 / 4), 0)


def test_a_word_that_every_sentence_has_supports_nothing():
    assert placed("The end.", "The bees build. The rivers flow. The glass melts.") == [0, 0, 0, 1]


def test_of_equal_supports_the_earliest_counts():
    assert placed("Bees sing.", "Bees build. Rivers flow. Bees die.") == [1, 0, 0, 0]


def test_thirds_are_of_words_and_not_of_sentences():
    long = " ".join(f"w{number}" for number in range(40)) + "."
    assert placed("Bees build.", f"Rivers flow. Bees build. {long}") == [1, 0, 0, 0]
    assert placed("Bees build.", f"{long} Rivers flow. Bees build.") == [0, 0, 1, 0]


def test_speech_without_full_stops_is_cut():
    speech = " ".join(f"w{number}" for number in range(300))
    assert placed("w290 w291 w292", speech) == [0, 0, 1, 0]
    assert placed("w10 w11 w12", speech) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("summary", "source"), [("", SOURCE), (" … ", SOURCE), (EARLY, f"{EARLY} {MIDDLE}"), ("a", "")]
)
def test_without_summary_or_thirds_there_is_no_share(summary, source):
    assert all(math.isnan(value) for value in placed(summary, source))


@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=9))
def test_the_shares_add_up_to_1(summary, source):
    found = placed(". ".join(summary), ". ".join(source))
    assert math.isnan(found[0]) or sum(found) == pytest.approx(1)


@given(st.lists(WORDS, min_size=3, max_size=9), st.data())
def test_an_excerpt_is_always_supported(source, data):
    known = coverage.read(". ".join(each.capitalize() for each in source))
    said = coverage.stems(data.draw(st.sampled_from(source)))
    best, _ = known.support(said)
    assert best == pytest.approx(1) or best == 0  # 0: every sentence says exactly what this one says


def test_every_number_is_there_and_has_no_direction():
    assert coverage.score("a", "b", "c").keys() == coverage.HIGHER_IS_BETTER.keys()
    assert set(coverage.HIGHER_IS_BETTER.values()) == {None}
    assert coverage.Options(kind="coverage").kind == "coverage"
