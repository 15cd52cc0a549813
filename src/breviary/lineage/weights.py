"""From the base record to the weights: sha256 of every file in the model cache. Nothing is fetched."""

import json
from pathlib import Path

from breviary import artifacts
from breviary.lineage.objects import Verdict
from breviary.model import resolve


def is_record(content: bytes) -> bool:
    """Whether a file is the record of a model."""
    try:
        return {"options", "files", "config"} <= json.loads(content).keys()
    except (ValueError, AttributeError):
        return False


def check(record: bytes) -> Verdict:
    """Whether the model cache holds every file that the record names, with the sha256 that it names."""
    known = json.loads(record)
    folder = resolve.place(known["options"])
    if not folder.is_dir():
        return Verdict("missing", f"{folder} is not there", "run `dvc repro -f -s base_model`, which fetches it")
    for name, digest in sorted(known["files"].items()):
        if not (folder / name).is_file():
            return Verdict("missing", f"{folder / name} is not there", _remedy(folder))
        if artifacts.sha256(folder / name) != digest:
            return Verdict("wrong", f"{folder / name} has not the sha256 that the record names", _remedy(folder))
    return Verdict("holds", f"sha256 of {len(known['files'])} files in the model cache")


def _remedy(folder: Path) -> str:
    return f"delete {folder} and run `dvc repro -f -s base_model`, which fetches it again"
