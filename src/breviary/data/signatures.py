"""Is a file what its name says? Its first bytes answer, and text must be UTF-8 (or UTF-16 with its mark)."""

import codecs

from breviary.errors import DataError

HEAD = 1024  # bytes; a PDF header may stand anywhere in them
MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x89PNG", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"\x7fELF", "program"),
    (b"RIFF", "riff"),
    (b"ID3", "mp3"),
    (b"\xd0\xcf\x11\xe0", "doc"),
    (b"{\\rtf", "rtf"),
)
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check(raw: bytes, suffix: str, name: str) -> None:
    """Raise DataError if the bytes of `name` are of another format than its `suffix` says."""
    actual = guess(raw)
    if actual not in ("", suffix):
        raise DataError(
            f"{name}: named .{suffix}, but its bytes are of the format '{actual}'; "
            "give it the right suffix, or convert it, or leave it out with `patterns`"
        )


def guess(raw: bytes) -> str:
    """The format that the first bytes give away, or "" where they say nothing."""
    head = raw[:HEAD]
    for magic, name in MAGIC:
        if head.startswith(magic):
            return name
    if b"%PDF-" in head and (head.lstrip().startswith(b"%PDF-") or b"\x00" in head):
        return "pdf"
    if head.startswith(WIDE):
        return ""
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith(b"webvtt"):
        return "vtt"
    if text.startswith((b"<!doctype html", b"<html")):
        return "html"
    return "binary" if b"\x00" in head else ""


def decode(raw: bytes) -> str:
    """The text of `raw`. Raises UnicodeDecodeError where it is neither UTF-8 nor marked UTF-16: nothing is guessed."""
    return raw.decode("utf-16" if raw.startswith(WIDE) else "utf-8-sig")
