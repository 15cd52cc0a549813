"""The text of a document that somebody hands over: a file, bytes with a name, or standard input."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from breviary.data import reading, signatures
from breviary.data.cleaning import clean
from breviary.data.intake import Parsed
from breviary.errors import DataError


def formats() -> list[str]:
    """Suffixes of the files that can be read."""
    return reading.known()


def of_file(file: Path) -> str:
    """The words of `file`. Raises DataError where it has none, or none that can be read."""
    if reading.format_of(file) not in reading.known():
        raise DataError(f"{file}: its name ends in none of .{', .'.join(reading.known())}; rename or convert it")
    return _words(lambda: reading.parse(file), str(file))


def of_bytes(name: str, raw: bytes) -> str:
    """The words of an uploaded file; its name serves for nothing but its suffix. Raises as `of_file` does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"document{Path(name).suffix[:16]}")
        copy.write_bytes(raw)
        try:
            return of_file(copy)
        except DataError as error:
            raise DataError(str(error).replace(str(copy), Path(name).name[:100] or "the file")) from None


def of_stream(raw: bytes, where: str) -> str:
    """The words of bytes that have no name: of the format that they give away, else plain text. Raises as `of_file`."""
    format_ = signatures.guess(raw) or "txt"
    if format_ not in reading.known():
        raise DataError(f"{where}: its bytes are of the format '{format_}', which cannot be read; convert it to text")
    return _words(lambda: reading.read(raw, format_, where), where)


def _words(parse: Callable[[], Parsed], where: str) -> str:
    try:
        text = clean(parse().text)[0].strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not UTF-8: {error.reason} at byte {error.start}; convert it, for example with `iconv`"
        ) from None
    if not text:
        raise DataError(f"{where}: no words in it; name a file with text to summarise")
    return text
