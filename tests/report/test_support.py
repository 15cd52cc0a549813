"""Sentences of a summary against passages of the source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.report import support

SOURCE = "The ferry waits for the journal. A queue of twelve lorries grows at the quay. The captain signs at noon."


def test_the_passage_with_the_rarest_shared_words_is_found() -> None:
    (found,) = support.align("Lorries queue at the quay.", SOURCE)
    assert (found.place, found.passage) == (2, "A queue of twelve lorries grows at the quay.")
    assert found.share == 1.0


def test_a_word_that_the_source_lacks_lowers_the_share() -> None:
    whole, half = support.align("The captain signs. The captain resigns angrily.", SOURCE)
    assert (whole.place, half.place) == (3, 3)
    assert whole.share == 1.0
    assert 0 < half.share < 0.6


def test_idf_by_hand() -> None:
    """Of two passages one has "noise": idf = log(1 + 1.5 / 1.5). None has "elephant": idf = log(1 + 2.5 / 0.5)."""
    (found,) = support.align("Noise elephant", "The lorry makes noise. The lorry stops.")
    assert found.share == pytest.approx(0.6931 / (0.6931 + 1.7918), abs=1e-4)


def test_nothing_shared_is_said_and_an_empty_summary_has_no_sentences() -> None:
    (found,) = support.align("Elephants!", SOURCE)
    assert (found.place, found.passage, found.share) == (0, "", 0.0)
    assert support.align("", SOURCE) == []
    assert support.align("Words.", "")[0].place == 0


def test_speech_without_punctuation_is_cut_into_windows() -> None:
    words = [f"word{at}" for at in range(200)]
    cut = list(support.passages(" ".join(words)))
    assert " ".join(cut).split() == words
    assert {len(each.split()) for each in cut} == {support.WINDOW}


@given(st.text(max_size=200), st.text(max_size=300))
def test_a_share_is_a_share_of_a_passage_that_is_there(summary: str, source: str) -> None:
    count = len(list(support.passages(source)))
    for each in support.align(summary, source):
        assert 0 <= each.share <= 1
        assert 0 <= each.place <= count
        assert bool(each.passage) == bool(each.place)
