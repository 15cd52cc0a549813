"""What is dear to make and depends on known things alone, kept under a name made of those things.

    folder = root / sha256(binding)        binding: hashes and settings by name

Beside the files lies `capture.json` with the binding and the sha256 of each file. A folder whose binding is another's,
or whose files are not those that were written, is refused: a teacher's expectations read for other texts, or with
another tokenizer, would still be numbers, and nobody would notice.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.errors import ArtifactError
from breviary.tracking.locks import locked

FILE = "capture.json"


def entry(root: Path, binding: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
    """The folder that belongs to `binding`; `make` writes its files where it is not there yet."""
    folder = root / name(binding)
    with locked(root / f"{folder.name}.lock"):  # experiments with one teacher: the first makes, the others wait
        if not folder.is_dir():
            with artifacts.atomic(folder) as temporary:
                temporary.mkdir()
                make(temporary)
                artifacts.write_json(temporary / FILE, {"binding": dict(binding), "files": _hashes(temporary)})
    require(folder, binding)
    return folder


def name(binding: Mapping[str, Any]) -> str:
    """32 hexadecimal digits that depend on every part of `binding`."""
    return sha256(json.dumps(binding, sort_keys=True).encode()).hexdigest()[:32]


def require(folder: Path, binding: Mapping[str, Any]) -> None:
    """Raise ArtifactError where `folder` was made of other things than `binding`, or is not as it was written."""
    known = artifacts.read_json(folder / FILE)
    made = known["binding"]
    other = [key for key in sorted({*made, *binding}) if made.get(key) != binding.get(key)]
    if other:
        said = "; ".join(f"{key}: {made.get(key)!r}, not {binding.get(key)!r}" for key in other)
        raise ArtifactError(f"{folder}: captured from something else ({said}); delete it, and it is made again")
    there = _hashes(folder)
    wrong = [file for file in sorted({*there, *known["files"]}) if there.get(file) != known["files"].get(file)]
    if wrong:
        raise ArtifactError(f"{folder}: {', '.join(wrong)} is not what was captured; delete it, and it is made again")


def _hashes(folder: Path) -> dict[str, str]:
    return {file.name: artifacts.sha256(file) for file in sorted(folder.iterdir()) if file.name != FILE}
