"""Where a model's files are, and proof that they are the right ones.

Every kind of backbone ends as one local folder in Hugging Face's layout (`config.json`, `model.safetensors`,
`tokenizer.json`, ...) inside the model cache. The pipeline does not track that folder: it tracks the *record* of it, a
small JSON file with the sha256 of each file, which is all that later stages depend on. A record is enough to find the
folder again, or to fetch it on another machine, and every use checks the hashes.
"""

import os
from pathlib import Path
from typing import Any

from breviary import artifacts, catalogue
from breviary.errors import ArtifactError, ModelError

BACKBONES = "breviary.model.backbones"
Options = catalogue.kind_of(BACKBONES)


def cache() -> Path:
    """The model cache: $BREVIARY_CACHE, else `breviary` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "breviary"
    return Path(os.environ.get("BREVIARY_CACHE") or default)


def record(options: Any) -> dict[str, Any]:
    """Fetch the model that `options` names, and describe what was found.

    Raises ModelError where it cannot be fetched or is not what its sha256 says.
    """
    folder_ = _fetch(options)
    files = {
        file.relative_to(folder_).as_posix(): artifacts.sha256(file)
        for file in sorted(folder_.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    }
    return {"options": options.model_dump(), "files": files, "config": artifacts.read_json(folder_ / "config.json")}


def folder(path: Path) -> Path:
    """The local folder of the model whose record is at `path`, fetched again if the cache lost it.

    Raises ModelError naming each file that differs from the record, and what to delete.
    """
    options, files = _part(path, "options"), _part(path, "files")
    found = _fetch(catalogue.resolve(BACKBONES, str(options["kind"])).Options.model_validate(options))
    wrong = [
        f"{found / name}: {'missing' if not (found / name).is_file() else 'not the bytes that ' + str(path) + ' names'}"
        for name, digest in files.items()
        if not (found / name).is_file() or artifacts.sha256(found / name) != digest
    ]
    if wrong:
        remedy = f"delete {found} so that it is fetched again, or run `dvc repro -f base_model` to accept the new files"
        raise ModelError("\n".join([*wrong, remedy]))
    return found


def place(options: dict[str, Any]) -> Path:
    """Where the model cache keeps the model of a record's options, or would. Nothing is fetched."""
    module = catalogue.resolve(BACKBONES, str(options["kind"]))
    return module.place(module.Options.model_validate(options), cache() / "models")


def identity(path: Path) -> str:
    """A name for the exact weights of the record at `path`: an adapter trained on them carries it."""
    files = _part(path, "files")
    weights = {name: digest for name, digest in files.items() if name.endswith(".safetensors")}
    return "+".join(weights[name][:16] for name in sorted(weights))


def window(path: Path) -> int:
    """How many tokens the model of the record at `path` reads at once. Raises ModelError if its config does not say."""
    config = _part(path, "config")
    if "max_position_embeddings" not in config:
        raise ModelError(f"{path}: this backbone's config has no max_position_embeddings; choose another backbone")
    return int(config["max_position_embeddings"])


def _part(record: Path, name: str) -> dict[str, Any]:
    known = artifacts.read_json(record)
    if not isinstance(known, dict) or not isinstance(known.get(name), dict):
        raise ArtifactError(f"{record}: no record of a model, or one of another version; run `dvc repro -f base_model`")
    return known[name]


def _fetch(options: Any) -> Path:
    return catalogue.resolve(BACKBONES, options.kind).fetch(options, cache() / "models")
