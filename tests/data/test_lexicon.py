"""Terms are found as whole words, whatever tokens they are made of, and tokens are marked by where they stand."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.data import lexicon
from breviary.errors import ConfigError

WORDS = ["art", "Art", "ART", "party", "arts", "self-art", "art-house", "l'art", "state", "of", "the", "artéfact"]


def found(text: str, *terms: str) -> list[str]:
    return [text[start:end] for start, end in lexicon.spans(text, terms)]


def test_every_word_that_is_no_term_is_told() -> None:
    lexicon.require_terms(["naïve Bayes", "C++", "k-means"])
    decomposed = unicodedata.normalize("NFD", "naïve bayes")
    with pytest.raises(ConfigError) as refused:
        lexicon.require_terms(["naïve Bayes", "--", "k-means", "K\u2011Means", decomposed, "x", "x"])
    said = str(refused.value)
    for problem in ("'--' has neither", "'K\u2011Means' repeats 'k-means'", "repeats 'naïve Bayes'", "'x' repeats 'x'"):
        assert problem in said


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("An ART of party, state-of-the-art; arts.", ["ART"]),
        ("'art' (art) art-, art\u2013art", ["art"] * 5),
        ("the art's worth and the art\u2019s end", ["art", "art"]),
        ("art'sy l'art art-house art_x x_art 1art", []),
    ],
)
def test_a_term_is_a_whole_word(text: str, matches: list[str]) -> None:
    assert found(text, "art") == matches


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["", "'s", ",", "."])), max_size=12))
def test_words_are_found_as_by_reading_them_one_by_one(words: list[tuple[str, str]]) -> None:
    expected = [word for word, _ in words if word.lower() == "art"]
    assert found(" ".join(word + end for word, end in words), "art") == expected


def test_the_longest_term_wins_and_white_space_may_be_of_any_width() -> None:
    text = "Neural\nmachine  translation, machine translation, machine"
    terms = ("machine", "machine translation", "neural machine translation")
    assert found(text, *terms) == ["Neural\nmachine  translation", "machine translation", "machine"]
    assert found(text, *reversed(terms)) == found(text, *terms)


def test_accents_hyphens_and_apostrophes_match_however_they_are_encoded() -> None:
    decomposed = unicodedata.normalize("NFD", "Naïve Bayes")
    assert found(f"a {decomposed} and naïve bayes, naive Bayes", "naïve bayes") == [decomposed, "naïve bayes"]
    assert found("k\u2011means k-means k means", "k-means") == ["k\u2011means", "k-means"]
    assert found("Bayes\u2019 rule", "bayes' rule") == ["Bayes\u2019 rule"]
    assert found("Нейронная сеть, сетью, Сеть", "нейронная сеть", "сеть") == ["Нейронная сеть", "Сеть"]
    assert found("C++ and C, a.b axb", "c++", "a.b") == ["C++", "a.b"]


@given(st.text("ab -'é\n", max_size=30), st.lists(st.text("abé", min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_token_is_marked_by_its_own_characters_and_not_by_white_space(text: str, terms: list[str]) -> None:
    spans = lexicon.spans(text, terms)
    inside = [any(start <= place < end for start, end in spans) for place in range(len(text))]
    one_by_one = lexicon.marks(text, [(place, place + 1) for place in range(len(text))], spans)
    assert one_by_one == tuple(is_in and not text[place].isspace() for place, is_in in enumerate(inside))
    pairs = [(place, min(place + 2, len(text))) for place in range(0, len(text), 2)]
    assert lexicon.marks(text, pairs, spans) == tuple(any(one_by_one[slice(*pair)]) for pair in pairs)


def test_a_space_inside_a_term_is_not_marked() -> None:
    text = "the naive  Bayes rule"
    offsets = [(0, 3), (3, 4), (4, 9), (9, 10), (10, 16), (16, 21)]  # the, space, naive, space, " Bayes", " rule"
    assert lexicon.marks(text, offsets, lexicon.spans(text, ["naive bayes"])) == (
        False,
        False,
        True,
        False,
        True,
        False,
    )


@pytest.fixture(scope="module")
def pieces() -> Any:
    """A byte-level tokenizer whose only piece of several letters is `art`."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocab = {symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocab |= {"ar": 256, "art": 257}
    fast = Tokenizer(models.BPE(vocab=vocab, merges=[("a", "r"), ("ar", "t")]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return fast


def test_a_piece_of_another_word_is_not_marked_though_it_has_the_same_id(pieces: Any) -> None:
    text = " A party of art"
    encoded = pieces.encode(text)
    marks = lexicon.marks(text, encoded.offsets, lexicon.spans(text, ["art"]))
    where = [place for place, id_ in enumerate(encoded.ids) if id_ == 257]
    assert len(where) == 2  # in "party" and in "art"
    assert [marks[place] for place in where] == [False, True]
    assert sum(marks) == 1


@pytest.mark.parametrize(
    ("text", "term", "size"),
    [(" Le naïve Bayes, là", "naïve bayes", 11), (" Это сеть и сетка", "сеть", 8), (" 機械 学習 と", "機械 学習", 12)],
)
def test_every_byte_of_a_term_is_marked_in_any_script(tiny: Any, text: str, term: str, size: int) -> None:
    ids, offsets = tiny.tokenizer.encode(text), tiny.tokenizer.offsets(text)
    marks = lexicon.marks(text, offsets, lexicon.spans(text, [term]))
    marked = tiny.tokenizer.decode([id_ for id_, mark in zip(ids, marks, strict=True) if mark])
    assert marked.lower() == term.replace(" ", "")
    assert sum(marks) == size == len(marked.encode())
