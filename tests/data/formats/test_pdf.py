"""PDF."""

import io
from collections.abc import Callable

import pytest
from pypdf import PdfReader, PdfWriter

from breviary.data.formats import pdf
from breviary.errors import DataError

Make = Callable[..., bytes]


def encrypted(raw: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(raw)))
    writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pages_are_joined_and_lines_unwrapped(make_pdf: Make) -> None:
    parsed = pdf.parse(make_pdf("A lighthouse is a tow-\ner with a\nlamp.", "Second page.", title="Lamps"), "a.pdf")
    assert parsed.text == "A lighthouse is a tower with a lamp.\n\nSecond page."
    assert parsed.title == "Lamps"


def test_a_pdf_of_pictures_is_refused(make_pdf: Make) -> None:
    with pytest.raises(DataError, match=r"a\.pdf: no text on 2 pages, only pictures; run OCR"):
        pdf.parse(make_pdf("", ""), "a.pdf")


def test_an_encrypted_pdf_is_refused(make_pdf: Make) -> None:
    with pytest.raises(DataError, match=r"a\.pdf: the PDF is encrypted; save a copy without a password"):
        pdf.parse(encrypted(make_pdf("Secret."), "word"), "a.pdf")


def test_a_pdf_that_anyone_may_open_is_read(make_pdf: Make) -> None:
    assert pdf.parse(encrypted(make_pdf("Not secret."), ""), "a.pdf").text == "Not secret."


def test_another_file_named_pdf_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.pdf: named \.pdf, but it does not begin as a PDF does"):
        pdf.parse(b"PK\x03\x04 a zip", "a.pdf")


@pytest.mark.parametrize("cut", range(0, 700, 23))
def test_a_damaged_pdf_is_never_a_traceback(make_pdf: Make, cut: int) -> None:
    raw = make_pdf("A page that will be cut.")[:cut]
    try:
        assert "page" in pdf.parse(raw, "a.pdf").text
    except DataError as error:
        assert "a.pdf: " in str(error)


def test_a_page_that_is_drawn_thousands_of_times_is_refused(make_pdf: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MOST_CONTENT", 100)
    with pytest.raises(DataError, match=r"a\.pdf: more than 100 bytes of drawing on its pages; split the PDF"):
        pdf.parse(make_pdf("One page.", "The same page.", "The same page."), "a.pdf")


def test_a_form_that_draws_itself_is_no_traceback(make_pdf: Make) -> None:
    with pytest.raises(DataError, match=r"a\.pdf: "):
        pdf.parse(make_pdf("x").replace(b"/Kids [4 0 R]", b"/Kids [2 0 R]"), "a.pdf")
