"""Words and stems: `rouge_score`'s own on ASCII text, and something sensible in every other script."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.tokenizers import DefaultTokenizer

from breviary.evaluate.words import sentences, stems, words

ASCII = st.text(st.characters(max_codepoint=127), max_size=60)


@given(ASCII)
def test_ascii_stems_are_those_of_the_reference_implementation(text):
    assert stems(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)


@given(ASCII)
def test_ascii_words_are_those_of_the_reference_implementation(text):
    assert words(text) == DefaultTokenizer(use_stemmer=False).tokenize(text)


def test_english_with_typographic_punctuation_is_as_in_the_reference_implementation():
    text = "The model\u2019s “running” \u2013 3.5% of under_scores — studies weren\u2019t state-of-the-art…"
    assert stems(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)
    assert "studi" in stems(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Быстрая лиса, 2-я.", ["быстрая", "лиса", "2", "я"]),
        ("naïve Größe", ["naïve", "größe"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("機械学習です。", ["機", "械", "学", "習", "で", "す"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("한국어 요약", ["한국어", "요약"]),
        ("ﬁne \uff12\uff10", ["fine", "20"]),
        ("", []),
        (" —…! ", []),
    ],
)
def test_words_of_other_scripts(text, expected):
    assert words(text) == expected


def test_composed_and_decomposed_accents_are_the_same_word():
    assert words(unicodedata.normalize("NFD", "élève")) == words(unicodedata.normalize("NFC", "élève")) == ["élève"]


def test_sentences_are_lines_of_their_own():
    assert sentences("  Dr. Smith came\nlate. He left!\n\nAnd then?  ") == [
        "Dr. Smith came late.",
        "He left!",
        "And then?",
    ]
    assert sentences(" \n ") == []
