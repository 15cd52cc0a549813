"""PDF: the text layer of every page, words joined again where a line end cut them (pypdf)."""

import io
import logging
import re

from breviary.data.intake import Parsed
from breviary.errors import DataError

HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
MOST_CONTENT = 256_000_000  # bytes, unpacked, of all pages: a small file may draw one page thousands of times
WRAPPED = re.compile(r"(?<=\S)[ \t]*\n(?=[ \t]*\S)")


def parse(raw: bytes, name: str) -> Parsed:
    """The text of all pages. Raises DataError for a PDF that is encrypted, damaged, or only pictures."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of each oddity; what matters is raised
    if b"%PDF-" not in raw[:1024]:
        raise DataError(f"{name}: named .pdf, but it does not begin as a PDF does (%PDF-); get it again")
    try:
        reader = PdfReader(io.BytesIO(raw))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError(
                f"{name}: the PDF is encrypted; save a copy without a password (for example `qpdf --decrypt`)"
            )
        pages, work = list[str](), 0
        for page in reader.pages:
            contents = page.get_contents()
            work += 0 if contents is None else len(contents.get_data())
            if work > MOST_CONTENT:
                raise DataError(f"{name}: more than {MOST_CONTENT} bytes of drawing on its pages; split the PDF")
            pages.append(page.extract_text())
        title = str((reader.metadata and reader.metadata.title) or "")
    except DataError:
        raise
    except Exception as error:
        # pypdf meets damage in the middle of its own code, so that the kind of the exception says little
        raise DataError(
            f"{name}: the PDF is damaged ({type(error).__name__}: {error}); get or export it again"
        ) from None
    if not "".join(pages).strip():
        raise DataError(f"{name}: no text on {len(pages)} pages, only pictures; run OCR first (for example `ocrmypdf`)")
    return Parsed(text="\n\n".join(unwrap(page) for page in pages if page.strip()), title=title.strip())


def unwrap(page: str) -> str:
    """Lines of one paragraph on one line."""
    return WRAPPED.sub(" ", HYPHEN.sub("", page.replace("\r\n", "\n"))).strip()
