"""What a source hands over: for each thing it was asked to read, a document or the reason why there is none.

A source yields `Found` and `Rejected`, and raises DataError only for what the person who ran the command must mend
first (a folder that is not there, a broken file). Everything that is dropped is counted by its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from breviary.records import Document

EMPTY = "empty"
TOO_SHORT = "too_short"
NO_REFERENCE = "no_reference"
DUPLICATE = "duplicate"
UNDECODABLE = "undecodable"
OVER_SIZE_LIMIT = "over_size_limit"
LONG_REFERENCE = "long_reference"
UNKNOWN_FORMAT = "unknown_format"
UNAVAILABLE = "unavailable"  # the other side has no such text: no captions, no PDF, a PDF without words
REASONS = (
    EMPTY,
    TOO_SHORT,
    NO_REFERENCE,
    DUPLICATE,
    UNDECODABLE,
    OVER_SIZE_LIMIT,
    LONG_REFERENCE,
    UNKNOWN_FORMAT,
    UNAVAILABLE,
)

LINE_ENDS = "line_ends"
CONTROL_CHARACTERS = "control_characters"
LONE_SURROGATES = "lone_surrogates"
UNICODE_NFC = "unicode_nfc"
ROLLING_CAPTIONS = "rolling_captions"
SOUND_CAPTIONS = "sound_captions"
ABSTRACT_IN_TEXT = "abstract_in_text"
REPAIRS = (
    LINE_ENDS,
    CONTROL_CHARACTERS,
    LONE_SURROGATES,
    UNICODE_NFC,
    ROLLING_CAPTIONS,
    SOUND_CAPTIONS,
    ABSTRACT_IN_TEXT,
)


@dataclass(frozen=True)
class Found:
    """A document, and what had to be repaired in it (members of REPAIRS)."""

    document: Document
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """No document: where it was looked for, why there is none (one of REASONS), and what was seen."""

    source: str
    reason: str
    detail: str


@dataclass(frozen=True)
class Parsed:
    """What a file format gives: the text, and what the file says of itself."""

    text: str
    title: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)  # front matter or metadata, by the file's own names
    times: tuple[tuple[int, float], ...] = ()  # see Document.times
    repairs: tuple[str, ...] = ()
