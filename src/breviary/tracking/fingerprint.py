"""The key of a run: equal keys mean equal params, inputs, code and numerical libraries, so the same result.

    key = sha256(stage, params sections, content of the files read, content of src/breviary/**/*.py and of the stage's
          script, versions of torch, transformers and peft)

No path of this machine enters it, so that two clones compute the same key. It is deliberately wider than what DVC
tracks for a stage: a checkpoint must never be continued by other code.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from breviary.errors import ArtifactError

PACKAGE = Path(__file__).parents[1]
NUMERICAL = ("torch", "transformers", "peft")
BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class Input:
    """A file or folder that a stage reads."""

    name: str  # relative path, or the bare name of one outside the project
    md5: str  # as DVC writes it in dvc.lock: a folder's ends with ".dir"
    sha256: str


def inputs(reads: Sequence[Path]) -> list[Input]:
    """The digests of what a stage reads. Raises ArtifactError that lists everything missing."""
    missing = [str(path) for path in reads if not path.exists()]
    if missing:
        raise ArtifactError(
            f"missing: {', '.join(missing)}; run `dvc repro`, which writes it, or `dvc pull` where a remote holds it"
        )
    return [_folder(path) if path.is_dir() else _file(path, _name(path)) for path in reads]


def key(stage: str, params: Mapping[str, Any], read: Sequence[Input]) -> str:
    """32 hexadecimal digits for this stage with these params, inputs, code and versions."""
    parts = {
        "stage": stage,
        "params": params,
        "inputs": sorted([item.name, item.sha256] for item in read),
        "code": sorted(_code()),
        "versions": {name: _version(name) for name in NUMERICAL},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def script() -> Path | None:
    """The stage's entry point, where there is one."""
    path = Path(sys.argv[0])
    return path if path.suffix == ".py" and path.is_file() else None


def _code() -> Iterator[tuple[str, str]]:
    for path in PACKAGE.rglob("*.py"):
        yield path.relative_to(PACKAGE).as_posix(), _file(path, "").sha256
    entry = script()
    if entry:
        yield entry.name, _file(entry, "").sha256


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _name(path: Path) -> str:
    return path.name if path.is_absolute() else path.as_posix()


def _file(path: Path, name: str) -> Input:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            sha256.update(block)
    return Input(name, md5.hexdigest(), sha256.hexdigest())


def _folder(path: Path) -> Input:
    names = {each.relative_to(path).as_posix(): each for each in path.rglob("*") if each.is_file()}
    files = [_file(names[name], name) for name in sorted(names)]
    listing = json.dumps([{"md5": each.md5, "relpath": each.name} for each in files])  # the very bytes DVC hashes
    contents = json.dumps([[each.name, each.sha256] for each in files])
    return Input(
        _name(path),
        hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest() + ".dir",
        hashlib.sha256(contents.encode()).hexdigest(),
    )
