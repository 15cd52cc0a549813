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


def test_what_comes_without_a_name_is_read_as_what_it_gives_itself_away_to_be():
    assert documents.of_stream(b"# A wall\r\n\nIt stands.", "standard input") == "# A wall\n\nIt stands."
    captions = b"WEBVTT\n\n00:00.000 --> 00:02.000\nThe wall was built.\n"
    assert documents.of_stream(captions, "standard input") == "The wall was built."
    page = b"<!doctype html><title>Walls</title><p>" + b"The wall was built by hand. " * 9
    assert "<p>" not in documents.of_stream(page, "standard input")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "standard input: no words in it"),
        (b" \n", "standard input: no words in it"),
        (b"\xef\xbb\xbf\x00", "standard input: its bytes are of the format 'binary', which cannot be read"),
        (b"PK\x03\x04rest", "standard input: its bytes are of the format 'zip', which cannot be read"),
        (b"caf\xe9", "standard input: not UTF-8: unexpected end of data at byte 3"),
    ],
)
def test_what_comes_without_a_name_and_cannot_be_read_is_an_error(raw, message):
    with pytest.raises(DataError, match=f"^{message}"):
        documents.of_stream(raw, "standard input")
