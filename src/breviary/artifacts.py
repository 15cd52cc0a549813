"""How results reach the disk: whole or not at all, and the same bytes for the same content.

Every writer goes through `atomic`, so that a killed process leaves the old file or the new one, never half of one. The
temporary file that it was writing stays behind, and is removed by whoever next writes the same file on this machine.
No timestamps, host names, absolute paths or run ids: these files are hashed by DVC.
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_origin

from breviary.errors import ArtifactError, listed
from breviary.records import to_dict

R = TypeVar("R")
SEAL = "sha256.json"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, a file or a folder, that takes its place when the block ends well.

    Of a folder there is the old one, the new one, or, if the machine stops in the instant between two renames, none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ours = f".{path.name}.{platform.node()}."  # a folder may be shared by machines, a process is of one
    for left in [each for each in path.parent.iterdir() if each.name.startswith(ours) and _abandoned(each)]:
        _remove(left)
    temporary = path.with_name(f"{ours}{os.getpid()}.part")
    before = path.with_name(f"{ours}before.{os.getpid()}.part")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            os.replace(path, before)  # a folder takes the place of an empty one only
        os.replace(temporary, path)
    finally:
        _remove(temporary)
        _remove(before)


def _abandoned(temporary: Path) -> bool:
    """Whether the process that was writing is gone."""
    *_, process, ending = temporary.name.split(".")
    if ending != "part" or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # somebody else's; no process of ours
        return False
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # another process may be sweeping it too
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
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not valid JSON ({error}); delete it and run the stage that writes it") from None


def write_records(path: Path, records: Iterable[Any]) -> None:
    """Write one record a line, keys sorted, in the order given."""
    lines = (json.dumps(to_dict(record), sort_keys=True, ensure_ascii=False) for record in records)
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Read what `write_records` wrote. Raises ArtifactError with the line that is not such a record."""
    types = {item.name: item.type for item in fields(kind)}  # type: ignore[arg-type]
    lines = _read(path).removesuffix("\n").split("\n")  # not splitlines: a text may hold U+2028
    return [_record(kind, types, path, number, line) for number, line in enumerate(lines, 1) if line]


def _record(kind: type[R], types: Mapping[str, Any], path: Path, number: int, line: str) -> R:
    try:
        values = json.loads(line)
        if set(values) != types.keys():
            raise ValueError(f"keys differ: {', '.join(sorted(set(values) ^ types.keys()))}")
        found = {name: _tuple(value) for name, value in values.items()}
        if wrong := [name for name, value in found.items() if not _is(value, types[name])]:
            raise ValueError(f"of another type: {', '.join(wrong)}")
        return kind(**found)
    except (ValueError, TypeError, RecursionError) as error:
        raise ArtifactError(
            f"{path}:{number}: not a {kind.__name__} record ({error}); delete the file and run the stage that writes it"
        ) from None


def _is(value: Any, wanted: Any) -> bool:
    """Whether `value` is of a field's type. JSON may write a float as 1, and true is no number."""
    plain = get_origin(wanted) or wanted
    if isinstance(value, bool):
        return plain is bool
    return isinstance(value, (int, float) if plain is float else plain)


def _tuple(value: Any) -> Any:
    return tuple(_tuple(item) for item in value) if isinstance(value, list) else value


def _read(path: Path) -> str:
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; run `dvc repro`, or `dvc pull` where a remote holds it")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: not UTF-8 ({error}); delete it and run the stage that writes it") from None


def seal(folder: Path, names: Iterable[str]) -> None:
    """Write into `folder` what the bytes of the files `names` are now."""
    write_json(folder / SEAL, {name: sha256(folder / name) for name in sorted(names)})


def require_sealed(folder: Path, remedy: str) -> None:
    """Raise ArtifactError naming each file of `folder` that is not as it was when it was sealed, and `remedy`.

    A format finds that a file was cut short; only a digest finds a byte that turned into another.
    """
    sealed = read_json(folder / SEAL)
    if not isinstance(sealed, dict):
        raise ArtifactError(f"{folder / SEAL}: damaged; {remedy}")
    gone = {name for name in sealed if not (folder / name).is_file()}
    problems = [f"{folder / name}: missing" for name in sorted(gone)]
    problems += [
        f"{folder / name}: damaged, its sha256 is not the one in {SEAL}"
        for name in sorted(sealed.keys() - gone)
        if sha256(folder / name) != sealed[name]
    ]
    if problems:
        raise ArtifactError(listed(problems, remedy))


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
