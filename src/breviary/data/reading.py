"""A file of any format: its suffix names the reader (`formats/<suffix>.py`), and its first bytes must agree."""

from pathlib import Path

from breviary import catalogue
from breviary.data import signatures
from breviary.data.intake import Parsed
from breviary.errors import DataError

FORMATS = "breviary.data.formats"
ALIASES = {"markdown": "md", "htm": "html", "text": "txt"}


def format_of(file: Path) -> str:
    """The format that the name of `file` says."""
    suffix = file.suffix.removeprefix(".").lower()
    return ALIASES.get(suffix, suffix)


def known() -> list[str]:
    """The formats that can be read."""
    return catalogue.kinds(FORMATS)


def parse(file: Path) -> Parsed:
    """What `file` holds. Raises DataError where it is not of the format that its name says, or is broken."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); mend its permissions, or leave it out") from None
    format_ = format_of(file)
    signatures.check(raw, format_, str(file))
    return read(raw, format_, str(file))


def read(raw: bytes, format_: str, name: str) -> Parsed:
    """What `raw` holds, which is of `format_`; `name` stands in errors. Raises DataError where it is broken."""
    reader = catalogue.resolve(FORMATS, format_)
    return reader.parse(raw, name) if raw.strip() else Parsed(text="")
