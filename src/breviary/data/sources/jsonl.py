"""A file of JSON objects, one a line, plain or gzip."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from breviary import config
from breviary.data import rows
from breviary.data.intake import UNDECODABLE, Found, Rejected
from breviary.errors import SHOWN, DataError, listed
from breviary.records import Document

GZIP = b"\x1f\x8b"


class Options(config.Options):
    """Where the file is and which of its fields mean what."""

    kind: Literal["jsonl"]
    path: str = Field(min_length=1)  # inside data.root
    domain: str = ""  # of every record; "" takes each record's own, see fields.domain
    licence: str = ""  # where a record names none
    fields: rows.Fields = rows.Fields()
    where: dict[str, rows.Scalar] = Field(default={})  # only records with exactly these values, as in {split: dev}
    limit: int | None = Field(default=None, ge=1)  # documents, chosen by a hash of their ids
    repeated_ids: Literal["refuse", "first"] = "refuse"  # "first": one text stands in several rows, as in pair files
    max_line_mb: int = Field(default=64, ge=1, le=1024)  # one record, MB
    max_total_mb: int = Field(default=4096, ge=1)  # the whole file, unpacked, MB


def read(options: Options, *, cache: Path) -> Iterator[Found | Rejected]:
    """The documents of the file, in a stable order. All bad lines are told at once, the first ten by number."""
    path = Path(options.path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; set data.sources[].path to a .jsonl or .jsonl.gz file")
    with _open(path) as file:
        found = _documents(options, path, _lines(file, options, path))
    rejected = [each for each in found if isinstance(each, Rejected)]
    documents = [each for each in found if isinstance(each, Document)]
    for document in sorted(rows.sample(documents, options.limit), key=lambda each: each.source):
        yield Found(document)
    yield from rejected


def _open(path: Path) -> BufferedIOBase:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    if packed != (path.suffix == ".gz"):
        what = "is gzip, but its name does not end in .gz" if packed else "is named .gz, but its bytes are not gzip"
        raise DataError(f"{path}: {what}; rename it, or download it again")
    return gzip.open(path) if packed else path.open("rb")


def _lines(file: BufferedIOBase, options: Options, path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank. The limits stop a file that unpacks without end."""
    most, total, number = options.max_line_mb << 20, 0, 0
    try:
        while line := file.readline(most + 1):
            number, total = number + 1, total + len(line)
            if len(line) > most:
                raise DataError(f"{path}:{number}: a line longer than max_line_mb, {options.max_line_mb} MB; raise it?")
            if total > options.max_total_mb << 20:
                raise DataError(
                    f"{path}:{number}: more than max_total_mb, {options.max_total_mb} MB unpacked; raise it?"
                )
            if line.strip():
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}:{number + 1}: the gzip data is cut short or damaged in this line ({error}); download it again"
        ) from None


@dataclass
class _Reading:
    """What is known after some lines of one file."""

    found: list[Document | Rejected] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    first_at: dict[str, int] = field(default_factory=dict)  # the line of each id
    names: set[str] = field(default_factory=set)  # fields of any record
    values: dict[str, set[str]] = field(default_factory=dict)  # of the fields in `where`


def _documents(options: Options, path: Path, lines: Iterator[tuple[int, bytes]]) -> list[Document | Rejected]:
    reading = _Reading(values={name: set() for name in options.where})
    for number, line in lines:
        try:
            _take(_row(line, f"{path}:{number}"), options, path, number, reading)
        except UnicodeDecodeError as error:
            detail = f"not UTF-8: {error.reason} at byte {error.start}"
            reading.found.append(Rejected(f"{path.name}:{number}", UNDECODABLE, detail))
        except DataError as error:
            reading.problems.append(str(error))
    problems = reading.problems or _hollow(options, path, reading)
    if problems:
        raise DataError(listed(problems))
    return reading.found


def _take(row: dict[str, Any], options: Options, path: Path, number: int, reading: _Reading) -> None:
    reading.names.update(row)
    for name, known in reading.values.items():
        known.add(json.dumps(row.get(name)))
    if not rows.matches(row, options.where):
        return
    document = _document(row, options, path, number)
    first = reading.first_at.setdefault(document.source, number)
    if first == number:
        reading.found.append(document)
    elif options.repeated_ids == "refuse":
        raise DataError(
            f"{path}:{number}: id '{document.source}' is already on line {first}; "
            "ids must differ, or set repeated_ids: first"
        )


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig").rstrip(), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise
    except json.JSONDecodeError as error:
        raise DataError(
            f"{where}: not valid JSON: {error.msg} at column {error.colno}; mend or delete this line"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON: {error}; mend or delete this line") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: one JSON object a line is expected, got {type(row).__name__}")
    return row


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _document(row: dict[str, Any], options: Options, path: Path, number: int) -> Document:
    names = options.fields
    made = rows.document(row, names, domain=options.domain, licence=options.licence, where=f"{path}:{number}")
    if made.source:
        return made
    if names.id in row:
        raise DataError(
            f"{path}:{number}: field '{names.id}' is empty; give each record an id, or set fields.id to \"\""
        )
    return rows.numbered(made, f"{path.name}:{number}")


def _hollow(options: Options, path: Path, reading: _Reading) -> list[str]:
    """What to say of a file without one record to use, or of a map that names fields which are not there."""
    if not (reading.names or reading.found):
        return [f"{path}: no record in the whole file"]
    if not reading.found:
        have = [f"{name}: {', '.join(sorted(known)[:SHOWN])}" for name, known in sorted(reading.values.items())]
        return [f"{path}: no record matches where: {options.where}; there is {'; '.join(have)}"]
    return [f"{path}: {line}" for line in rows.unused(options.fields, reading.names)] if reading.names else []
