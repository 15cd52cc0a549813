"""Style of sentences whose answer a grammar book gives, and of texts counted by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breviary.evaluate.metrics import style

pytestmark = pytest.mark.slow  # the parser takes three seconds to load


def passive(text: str) -> float:
    return style.score(text, "", "")["passive"]


@pytest.mark.parametrize(
    "sentence",
    [
        "The data were collected by two students.",
        "It got trained on both sets.",
        "The committee has been asked to wait.",
        "They say that the bridge will be closed.",
        "That he lied was known to all.",
    ],
)
def test_a_passive_clause_is_found(sentence):
    assert passive(sentence) == 100


@pytest.mark.parametrize(
    "sentence",
    [
        "He is interested in bridges.",
        "The shop was open until nine.",
        "They have closed the bridge.",
        "She was walking home.",
        "Samples collected by hand help the students.",  # reduced: no auxiliary, not counted
    ],
)
def test_an_active_clause_is_not(sentence):
    assert passive(sentence) == 0


def test_the_share_is_of_sentences_however_many_clauses_each_has():
    text = "The wall was built, and the gate was closed.\nWe went home. She sang. He slept."
    measured = style.score(text, "", "")
    assert measured["passive"] == 25
    assert measured["sentence_words"] == (9 + 3 + 2 + 2) / 4


def test_a_line_break_inside_a_sentence_does_not_end_it():
    assert style.score("The old wall was built\nby the men of the town.", "", "")["sentence_words"] == 11


@pytest.mark.parametrize(
    "text",
    [
        "In this paper, we sort clauses.",
        "Clauses are sorted in this work.",
        "This paper presents a method.",
        "The study investigates how bees fly.",
        "This article addresses noise; it studies bees.",
        "First, we propose a loss.",
        "WE SHOW THAT BEES FLY.",
    ],
)
def test_what_only_papers_say_of_themselves_is_found(text):
    assert style.score(text, "", "")["paper_phrase"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "The speaker reads a paper and works on it.",
        "We went to the meeting, and it works.",
        "The group put the paper on the table.",
        "This paperwork shows nothing.",
        "In this talk the speaker shows how bees fly.",
    ],
)
def test_what_others_say_is_not(text):
    assert style.score(text, "", "")["paper_phrase"] == 0


def test_nominalisations_are_nouns_with_enough_before_the_ending():
    # counted: information, agreements, kindness, activities; not: city (an ending with one letter before it),
    # mention (a verb here), nation (two letters before it)
    text = "The information about agreements and kindness and activities in the city are what they mention in a nation."
    assert style.score(text, "", "")["nominalisations"] == pytest.approx(100 * 4 / 18)


def test_mattr_is_the_mean_over_windows_of_50_words():
    distinct = [f"w{number}" for number in range(50)]
    assert style.score(" ".join(distinct), "", "")["mattr"] == 1
    assert style.score(" ".join(["so"] * 60), "", "")["mattr"] == pytest.approx(1 / 50)
    longer = " ".join([*distinct, "w49"])  # the second window has 49 distinct words
    assert style.score(longer, "", "")["mattr"] == pytest.approx((1 + 49 / 50) / 2)
    assert math.isnan(style.score(" ".join(distinct[:49]), "", "")["mattr"])


@given(st.integers(50, 120))
def test_mattr_does_not_fall_with_length(length):
    text = " ".join(f"w{number % 50}" for number in range(length))
    assert style._mattr(text.split()) == pytest.approx(1)


@pytest.mark.parametrize("text", ["", " \n", "...", "- -\n—"])
def test_a_summary_without_a_word_has_no_style(text):
    measured = style.score(text, "In this paper we were shown.", "Source.")
    assert measured.keys() == style.HIGHER_IS_BETTER.keys()
    assert all(math.isnan(value) for value in measured.values())


@settings(deadline=None)  # the first call loads the parser
@given(st.text(max_size=80))
def test_any_text_has_shares_that_are_shares(text):
    measured = style.score(text, "", "")
    assert measured.keys() == style.HIGHER_IS_BETTER.keys()
    if not math.isnan(measured["passive"]):
        assert 0 <= measured["passive"] <= 100
        assert measured["paper_phrase"] in (0, 1)
        assert measured["sentence_words"] > 0
        assert 0 <= measured["nominalisations"] <= 100


def test_neither_has_a_direction_and_the_backend_is_recorded():
    assert set(style.HIGHER_IS_BETTER.values()) == {None}
    assert style.SETTINGS["backend"] == "spacy 3.8.18, en_core_web_sm 3.8.0"
    assert style.Options(kind="style").kind == "style"
