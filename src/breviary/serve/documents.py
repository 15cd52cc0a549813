"""The text of a document that somebody hands over: a file, bytes with a name, or standard input."""

import tempfile
from pathlib import Path

from breviary.data import reading
from breviary.data.cleaning import clean
from breviary.errors import DataError


def formats() -> list[str]:
    """Suffixes of the files that can be read."""
    return reading.known()


def of_file(file: Path) -> str:
    """The words of `file`. Raises DataError where it has none, or none that can be read."""
    if reading.format_of(file) not in reading.known():
        raise DataError(f"{file}: its name ends in none of .{', .'.join(reading.known())}; rename or convert it")
    try:
        text = clean(reading.parse(file).text)[0].strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not UTF-8: {error.reason} at byte {error.start}; convert it, for example with `iconv`"
        ) from None
    if not text:
        raise DataError(f"{file}: no words in it; name a file with text to summarise")
    return text


def of_bytes(name: str, raw: bytes) -> str:
    """The words of an uploaded file; its name serves for nothing but its suffix. Raises as `of_file` does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"document{Path(name).suffix[:16]}")
        copy.write_bytes(raw)
        try:
            return of_file(copy)
        except DataError as error:
            raise DataError(str(error).replace(str(copy), Path(name).name[:100] or "the file")) from None


def of_text(text: str, where: str) -> str:
    """Plain text as it is read from a file. Raises DataError where there are no words."""
    cleaned = clean(text)[0].strip()
    if not cleaned:
        raise DataError(f"{where}: no words in it; there is nothing to summarise")
    return cleaned
