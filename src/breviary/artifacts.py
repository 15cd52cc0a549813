"""How results reach the disk: whole or not at all, and the same bytes for the same content.

Every writer goes through `atomic`, so that a killed process leaves the old file or the new one, never half of one.
No timestamps, host names, absolute paths or run ids: these files are hashed by DVC.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from breviary.errors import ArtifactError
from breviary.records import to_dict

R = TypeVar("R")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, a file or a folder, that takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with newline line ends."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys, one key a line. Infinity and NaN are refused: they are not JSON."""
    write_text(path, json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises ArtifactError with the line where it stops being JSON."""
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise ArtifactError(f"{path}: not valid JSON ({error}); delete it and run the stage that writes it") from None


def write_records(path: Path, records: Iterable[Any]) -> None:
    """Write one record a line, keys sorted, in the order given."""
    lines = (json.dumps(to_dict(record), sort_keys=True, ensure_ascii=False) for record in records)
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Read what `write_records` wrote. Raises ArtifactError with the line that is not such a record."""
    names = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    lines = _read(path).removesuffix("\n").split("\n")  # not splitlines: a text may hold U+2028
    return [_record(kind, names, path, number, line) for number, line in enumerate(lines, 1) if line]


def _record(kind: type[R], names: set[str], path: Path, number: int, line: str) -> R:
    try:
        values = json.loads(line)
        if set(values) != names:
            raise ValueError(f"keys differ: {', '.join(sorted(set(values) ^ names))}")
        return kind(**{name: _tuple(value) for name, value in values.items()})
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path}:{number}: not a {kind.__name__} record ({error}); delete the file and run the stage that writes it"
        ) from None


def _tuple(value: Any) -> Any:
    return tuple(_tuple(item) for item in value) if isinstance(value, list) else value


def _read(path: Path) -> str:
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; run `dvc repro`, or `dvc pull` where a remote holds it")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: not UTF-8 ({error}); delete it and run the stage that writes it") from None


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
