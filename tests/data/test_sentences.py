"""Sentence spans cover the text; what is too long is cut between words."""

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from breviary.data import sentences


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", text)]


def letters(text: str) -> list[tuple[int, int]]:
    return [(place, place + 1) for place in range(len(text))]


def texts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences.spans(text)]


def test_abbreviations_and_numbers_do_not_end_a_sentence():
    text = "Dr. Smith et al. showed (see Fig. 3) that x = 3.14, i.e. pi. It works! Does it, e.g. here? Yes."
    assert [each.strip() for each in texts(text)] == [
        "Dr. Smith et al. showed (see Fig. 3) that x = 3.14, i.e. pi.",
        "It works!",
        "Does it, e.g. here?",
        "Yes.",
    ]


def test_a_paragraph_ends_a_sentence_and_its_break_belongs_to_it():
    assert texts("A heading\n\nThe body. ") == ["A heading\n\n", "The body. "]


def test_wide_spaces_before_an_initial_and_lone_surrogates_are_survived():
    text = "Named by A\u2028D\u2028. \xa0J.\xa0Smith wrote it. \ud800 stays."
    assert "".join(texts(text)) == text


def test_empty_text_has_no_sentence_and_blank_text_has_one():
    assert sentences.spans("") == []
    assert sentences.spans(" \n\n ") == [(0, 4)]


@given(st.text(alphabet="ab .!?\n\r\t\u2028\xa0é日。🤗\"'()JD1-", max_size=80))
def test_spans_cover_the_text_in_order_and_none_is_blank(text: str):
    found = sentences.spans(text)
    assert "".join(text[start:end] for start, end in found) == text
    assert all(text[start:end].strip() for start, end in found) or not text.strip()


def cut(text: str, offsets: sentences.Offsets, limit: int, size: int) -> list[str]:
    return [text[a:b] for a, b in sentences.pieces(text, (0, len(text)), offsets, limit=limit, size=size)]


def test_a_sentence_within_the_limit_is_left_whole():
    assert cut("one two three four", words, 4, 2) == ["one two three four"]


def test_a_long_sentence_is_cut_between_words():
    assert cut("one two three four five", words, 4, 2) == ["one two ", "three four ", "five"]
    assert cut("one two three four five", letters, 9, 9) == ["one two ", "three ", "four five"]


def test_a_word_longer_than_the_limit_is_cut_inside():
    assert cut("ab " + "x" * 10, letters, 4, 4) == ["ab ", "xxxx", "xxxx", "xx"]


def test_a_character_of_more_tokens_than_the_limit_is_kept_whole():
    def four(text: str) -> list[tuple[int, int]]:
        return [(place, place + 1) for place in range(len(text)) for _ in range(4)]

    assert cut("🤗é", four, 2, 2) == ["🤗", "é"]


def test_fifty_thousand_characters_without_a_full_stop_take_less_than_two_seconds():
    for text in ("so and then we " * 3334, "x" * 50_000):
        began = time.perf_counter()
        found = cut(text, words if " " in text else letters, 100, 40)
        assert time.perf_counter() - began < 2
        assert "".join(found) == text
        assert len(found) > 300
