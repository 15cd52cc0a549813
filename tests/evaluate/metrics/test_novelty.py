"""Novel n-grams and copied runs of hand-counted texts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.evaluate.metrics import novelty

SOURCE = "The quick brown fox jumps over the lazy dog."
WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


def test_shares_and_run_made_by_hand():
    # distinct words: the, brown, fox, sleeps -> 1 of 4 novel; pairs: the brown*, brown fox, fox sleeps* -> 2 of 3
    assert novelty.score("The brown fox sleeps.", "", SOURCE) == {
        "novel1": pytest.approx(1 / 4),
        "novel2": pytest.approx(2 / 3),
        "novel3": 1,
        "copied_run": 2,
    }


def test_a_repeated_ngram_counts_once():
    assert novelty.score("new new new fox", "", SOURCE)["novel1"] == pytest.approx(1 / 2)


def test_an_empty_summary_has_no_shares_and_copies_nothing():
    measured = novelty.score("", "", SOURCE)
    assert measured.pop("copied_run") == 0
    assert all(math.isnan(value) for value in measured.values())


def test_a_summary_of_two_words_has_no_trigram():
    measured = novelty.score("quick brown", "", SOURCE)
    assert measured["novel2"] == 0
    assert math.isnan(measured["novel3"])


def test_frequent_words_of_a_long_source_still_count_as_copied():
    source = "the cat and the dog " * 100  # difflib's own heuristic would skip each of these words
    assert novelty.score("the cat and the dog the cat", "", source)["copied_run"] == 7


@given(WORDS, WORDS)
def test_the_run_is_the_longest_one_that_brute_force_finds(summary, source):
    runs = {tuple(source[at:end]) for at in range(len(source)) for end in range(at + 1, len(source) + 1)}
    longest = max(
        (
            end - at
            for at in range(len(summary))
            for end in range(at + 1, len(summary) + 1)
            if tuple(summary[at:end]) in runs
        ),
        default=0,
    )
    assert novelty.score(" ".join(summary), "", " ".join(source))["copied_run"] == longest


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=3, max_size=12))
def test_an_excerpt_has_no_novel_ngram(summary):
    text = " ".join(summary)
    assert novelty.score(text, "", f"z {text} z") == {"novel1": 0, "novel2": 0, "novel3": 0, "copied_run": len(summary)}


def test_every_number_has_a_direction():
    assert novelty.score("a", "b", "c").keys() == novelty.HIGHER_IS_BETTER.keys()
    assert novelty.Options(kind="novelty").kind == "novelty"
