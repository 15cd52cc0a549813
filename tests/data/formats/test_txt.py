"""Plain text."""

import codecs

import pytest

from breviary.data.formats import txt


def test_a_text_is_itself() -> None:
    parsed = txt.parse("One.\n\nTwo — three.\n".encode(), "a.txt")
    assert parsed.text == "One.\n\nTwo — three.\n"
    assert not parsed.fields


def test_front_matter_is_no_part_of_the_text() -> None:
    parsed = txt.parse(b"---\ntitle: T\n---\nBody.", "a.txt")
    assert parsed.text == "Body."
    assert parsed.fields == {"title": "T"}


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b""])
def test_a_byte_order_mark_is_no_part_of_the_text(mark: bytes) -> None:
    assert txt.parse(mark + b"Hello.", "a.txt").text == "Hello."


def test_marked_utf_16_is_read() -> None:
    assert txt.parse("Grüße".encode("utf-16"), "a.txt").text == "Grüße"


def test_another_encoding_is_not_guessed() -> None:
    with pytest.raises(UnicodeDecodeError, match="can't decode byte 0xfc"):
        txt.parse("Grüße".encode("latin-1"), "a.txt")
