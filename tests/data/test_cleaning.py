"""Repairs change what they name and nothing else, and offsets still point at their words."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.data.cleaning import clean, clean_timed

ANYTHING = st.text(st.characters(codec=None), max_size=60)


@pytest.mark.parametrize(
    ("text", "repaired", "repairs"),
    [
        ("plain « text\tand\nlines 👩‍🔬", "plain « text\tand\nlines 👩‍🔬", ()),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd", ("line_ends",)),
        ("a\x00b\x9fc", "a b c", ("control_characters",)),
        ("\x1b[31mred\x1b[0m and \x1b[1;4Hthere", "red and there", ("control_characters",)),
        ("\x1b\x1b[31m[31m", " [31m", ("control_characters",)),
        ("co\u00adoperate\ufeff", "cooperate", ("control_characters",)),
        ("a\ud800b", "a\ufffdb", ("lone_surrogates",)),
        ("Cafe\u0301", "Caf\u00e9", ("unicode_nfc",)),
        ("a\r\n\x07\x08", "a\n  ", ("line_ends", "control_characters")),
    ],
)
def test_each_repair(text: str, repaired: str, repairs: tuple[str, ...]) -> None:
    assert clean(text) == (repaired, repairs)


@given(ANYTHING)
def test_a_repaired_text_needs_no_second_repair(text: str) -> None:
    once, _ = clean(text)
    assert clean(once) == (once, ())
    assert json.loads(json.dumps(once).encode("utf-8")) == once
    assert once.encode("utf-8").decode("utf-8") == once
    assert unicodedata.is_normalized("NFC", once)


@given(st.lists(ANYTHING.map(lambda word: f"x{word}"), min_size=1, max_size=8))
def test_offsets_move_with_their_words(words: list[str]) -> None:
    offsets, text = [], ""
    for word in words:
        offsets.append(len(text))
        text += word + " "
    repaired, times, _ = clean_timed(text, [(offset, float(at)) for at, offset in enumerate(offsets)])
    assert [seconds for _, seconds in times] == [float(at) for at in range(len(words))]
    for (offset, _), word in zip(times, words, strict=True):
        assert repaired[offset:].startswith(clean(word)[0])


def test_a_text_without_times_is_cleaned_as_one() -> None:
    assert clean_timed("Cafe\u0301", ()) == ("Caf\u00e9", (), ("unicode_nfc",))
