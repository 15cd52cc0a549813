"""Documents that somebody hands over: what is read of them, and what is said of those that cannot be."""

import pytest

from breviary.errors import DataError
from breviary.serve import documents


def test_a_caption_file_is_read_as_its_words():
    raw = b"WEBVTT\n\n00:00.000 --> 00:02.000\nThe wall was built\n\n00:02.000 --> 00:04.000\nby hand.\n"
    assert documents.of_bytes("talk.vtt", raw) == "The wall was built by hand."


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.exe", b"MZ", r"a\.exe: its name ends in none of"),
        ("noname", b"words", "noname: its name ends in none of"),
        ("a.txt", b"", r"a\.txt: no words in it"),
        ("a.txt", b" \n\t ", r"a\.txt: no words in it"),
        ("a.txt", b"\xff\xfe\x00", r"a\.txt"),
        ("a.txt", b"%PDF-1.4 binary \x00\x01", r"a\.txt"),
        ("../../etc/a.exe", b"MZ", r"^a\.exe: "),
    ],
)
def test_what_cannot_be_read_is_named_by_its_own_name(name, raw, message):
    with pytest.raises(DataError, match=message):
        documents.of_bytes(name, raw)


def test_one_endless_line_and_control_characters_are_read():
    assert len(documents.of_bytes("a.txt", b"word " * 10_000)) > 49_000
    assert "\x07" not in documents.of_bytes("a.txt", b"ding\x07 dong")


def test_plain_text_without_words_is_an_error():
    with pytest.raises(DataError, match="standard input: no words in it"):
        documents.of_text(" \n", "standard input")
