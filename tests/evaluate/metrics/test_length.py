"""Length and compression of hand-counted texts."""

import math

from hypothesis import given
from hypothesis import strategies as st

from breviary.evaluate.metrics import length


def test_words_and_compression():
    assert length.score("Two words.", "", "A source of six short words, no: eight.") == {"words": 2, "compression": 4}


def test_an_empty_summary_has_no_words_and_no_compression():
    measured = length.score(" … ", "reference", "A source.")
    assert measured["words"] == 0
    assert math.isnan(measured["compression"])


@given(st.text(min_size=1), st.text())
def test_a_text_compresses_itself_by_1(text, reference):
    measured = length.score(text, reference, text)
    assert measured["compression"] == 1 if measured["words"] else math.isnan(measured["compression"])


def test_every_number_has_a_direction():
    assert length.score("a", "b", "c").keys() == length.HIGHER_IS_BETTER.keys()
    assert length.Options(kind="length").kind == "length"
