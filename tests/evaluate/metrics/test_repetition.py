"""Repetition of hand-counted texts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.evaluate.metrics import repetition


def test_trigrams_and_sentences_counted_by_hand():
    # a b c a b c d: abc bca cab abc bcd -> 4 distinct of 5; one sentence of three says an earlier one again
    assert repetition.score("a b c a b c d.", "", "")["repeated_trigrams"] == pytest.approx(1 / 5)
    assert repetition.score("It rains. It pours. IT RAINS!", "", "")["repeated_sentences"] == pytest.approx(1 / 3)


def test_a_loop_is_near_1():
    measured = repetition.score("The cat sat. " * 100, "", "")
    assert measured["repeated_trigrams"] == pytest.approx(1 - 3 / 298)
    assert measured["repeated_sentences"] == pytest.approx(0.99)


def test_what_reference_and_source_say_does_not_count():
    assert repetition.score("One two three four.", "One two three four.", "One two three four.") == {
        "repeated_trigrams": 0,
        "repeated_sentences": 0,
    }


def test_a_text_without_trigram_or_sentence_has_no_share():
    assert math.isnan(repetition.score("two words", "", "")["repeated_trigrams"])
    assert repetition.score("two words", "", "")["repeated_sentences"] == 0
    assert all(math.isnan(value) for value in repetition.score(" … ", "a b c", "a b c").values())


@given(st.lists(st.sampled_from("abcd"), min_size=3, max_size=20))
def test_saying_it_all_again_repeats_at_least_half_of_what_it_said(letters):
    text = " ".join(letters)
    once, twice = (repetition.score(each, "", "")["repeated_trigrams"] for each in (text, f"{text} {text}"))
    assert 0 <= once < 1
    assert twice > once or once > 0.5  # n trigrams, and at most two new ones at the seam


def test_every_number_is_there_and_has_no_direction():
    assert repetition.score("a", "b", "c").keys() == repetition.HIGHER_IS_BETTER.keys()
    assert set(repetition.HIGHER_IS_BETTER.values()) == {None}
    assert repetition.Options(kind="repetition").kind == "repetition"
