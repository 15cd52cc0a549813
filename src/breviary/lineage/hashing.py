"""DVC's md5: of a file, the md5 of its bytes; of a folder, that of a JSON list of its files.

    folder -> md5(json([{"md5": ..., "relpath": ...}, ...] sorted by relpath)) + ".dir"

What .dvcignore names is no part of a folder. MD5 tells one content from another here, and resists no attacker: the
weights, which come from outside, are checked by sha256 (`weights.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

FOLDER = ".dir"
ALWAYS = (".git", ".hg", ".dvc")  # what DVC never looks into


def of_bytes(content: bytes) -> str:
    """The md5 of `content`, 32 hexadecimal digits."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def of_file(path: Path) -> str:
    """The md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def of_listing(files: Mapping[str, str]) -> str:
    """The digest of a folder that holds `files`: the md5 of each by its path inside, with slashes."""
    listed = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return of_bytes(json.dumps(listed).encode()) + FOLDER


def of_folder(path: Path, ignored: tuple[str, ...] = ()) -> str:
    """The digest of a folder, without what the patterns `ignored` name."""
    names = (each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
    return of_listing({name: of_file(path / name) for name in names if not is_ignored(name, ignored)})


def of_path(path: Path, ignored: tuple[str, ...] = ()) -> str:
    """The digest of a file or folder, as dvc.lock has it."""
    return of_folder(path, ignored) if path.is_dir() else of_file(path)


def patterns(content: str) -> tuple[str, ...]:
    """The patterns of a .dvcignore."""
    lines = (line.strip() for line in content.splitlines())
    return tuple(line.strip("/") for line in lines if line and not line.startswith("#"))


def is_ignored(name: str, ignored: tuple[str, ...]) -> bool:
    """Whether a pattern names the file, a folder that it is in, or the whole of its path."""
    parts = PurePosixPath(name).parts
    return any(fnmatch(part, pattern) for part in parts for pattern in (*ALWAYS, *ignored)) or any(
        fnmatch(name, pattern) for pattern in ignored
    )
