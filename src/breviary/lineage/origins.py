"""Whether the code and the params that dvc.lock names are those of a commit.

They are looked for in the commit that holds the dvc.lock (in the workspace where it is not committed), and then in
every commit that changed the file: a result that was recorded a commit later than its code is still accounted for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from breviary.lineage import hashing
from breviary.lineage.history import SHORT, Repository
from breviary.lineage.lock import Lock, Origin
from breviary.lineage.objects import Verdict

HERE = ""  # stands for the workspace where a commit is expected


def code(repository: Repository, lock: Lock, stage: str, path: str, md5: str) -> Verdict:
    """Whether a file or folder that no stage writes is the one that `stage` read."""
    there = False
    for commit in _places(repository, lock.origin, path):
        digest = _digest(repository, commit, path)
        if digest == md5:
            return Verdict("holds", _named(commit))
        there |= digest is not None
    if there:
        remedy = f"commit what is meant to run, then `dvc repro {stage}` (it re-runs if {path} is not what it read)"
        return Verdict("wrong", f"{lock.origin} has another {path}, and so has every commit", remedy)
    remedy = f"put {path} back, or run `dvc repro {stage}` without it in dvc.yaml"
    return Verdict("missing", f"{path} is neither in {lock.origin} nor in any other commit", remedy)


def params(repository: Repository, lock: Lock, stage: str, file: str, values: Mapping[str, Any]) -> Verdict:
    """Whether the params that `stage` had are those of the file in the commit of the dvc.lock, or in another."""
    differs: list[str] = []
    for commit in _places(repository, lock.origin, file):
        document = read(repository, commit, file)
        wrong = [key for key, value in values.items() if document is None or at(document, key) != value]
        if not wrong:
            return Verdict("holds", _named(commit))
        differs = differs or wrong
    remedy = f"run `dvc repro {stage}`; it re-runs with the params as they are now"
    return Verdict("wrong", f"{file} of {lock.origin} has other values of {', '.join(differs)}", remedy)


def read(repository: Repository, commit: str, file: str) -> Any:
    """A YAML file as a commit has it, or the workspace (""); None where it is not there or no YAML."""
    path = repository.root / file
    content = repository.content(commit, file) if commit else path.read_bytes() if path.is_file() else None
    try:
        return YAML(typ="safe").load(content.decode()) if content is not None else None
    except (YAMLError, UnicodeDecodeError):
        return None


def at(document: Any, key: str, otherwise: Any = None) -> Any:
    """The value at a key with dots, or `otherwise`."""
    for part in key.split("."):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, Mapping) and part in document:
            document = document[part]
        else:
            return otherwise
    return document


def _places(repository: Repository, origin: Origin, path: str) -> Iterator[str]:
    """Where to look, without the history until it is needed."""
    first = [origin.commit] if origin.commit else [HERE, repository.head()]
    yield from first
    yield from (commit for commit in repository.commits(path, limit=100) if commit not in first)


def _digest(repository: Repository, commit: str, path: str) -> str | None:
    if commit:
        return repository.digest(commit, path)
    here = repository.root / path
    return hashing.of_path(here, repository.ignored) if here.exists() else None


def _named(commit: str) -> str:
    return f"git {commit[:SHORT]}" if commit else "workspace, not committed"
