"""First bytes against names."""

import gzip

import pytest

from breviary.data import signatures
from breviary.errors import DataError


@pytest.mark.parametrize(
    ("raw", "actual"),
    [
        (b"%PDF-1.7\n", "pdf"),
        (b"PK\x03\x04...", "zip"),
        (gzip.compress(b"x"), "gz"),
        (b"\x89PNG\r\n", "png"),
        (b"\n <!DOCTYPE html><html>", "html"),
        (b"\xef\xbb\xbfWEBVTT\n", "vtt"),
        (b"text\x00with a zero", "binary"),
        ("Grüße".encode("utf-16"), ""),
        ("Grüße".encode(), ""),
        (b"The header %PDF-1.7 opens a PDF.", ""),
        (b"", ""),
    ],
)
def test_the_first_bytes_give_a_format_away(raw: bytes, actual: str) -> None:
    assert signatures.guess(raw) == actual


def test_only_another_format_is_refused() -> None:
    signatures.check(b"%PDF-1.7", "pdf", "a.pdf")
    signatures.check(b"Text.", "pdf", "a.pdf")  # for the parser of that format to judge
    with pytest.raises(
        DataError, match=r"a\.txt: named \.txt, but its bytes are of the format 'gz'; give it the right"
    ):
        signatures.check(gzip.compress(b"x"), "txt", "a.txt")
