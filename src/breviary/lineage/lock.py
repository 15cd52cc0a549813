"""dvc.lock: for each stage the md5 of all that it read and wrote, and the params it had; and where that is on record.

The workspace's dvc.lock, once it is committed, speaks for the commit that recorded it, not for what has been edited
since: code and params are looked up there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from breviary.config import MALFORMED
from breviary.errors import ArtifactError
from breviary.lineage.history import SHORT, Repository

LOCK = "dvc.lock"
REMEDY = "run `git checkout -- dvc.lock`, or `dvc repro`, which writes it"


@dataclass(frozen=True)
class Stage:
    """One entry of dvc.lock."""

    name: str
    deps: dict[str, str]  # path -> md5, of a folder with ".dir"
    outs: dict[str, str]
    params: dict[str, dict[str, Any]]  # file -> key (with dots) -> value


@dataclass(frozen=True)
class Origin:
    """What holds a dvc.lock."""

    kind: Literal["workspace", "experiment", "commit"]
    name: str  # of the experiment; a commit's subject
    commit: str  # "" for the workspace

    def __str__(self) -> str:
        if self.kind == "workspace":
            return "the workspace"
        return f"{self.kind} {self.commit[:SHORT]}" + (f" ({self.name})" if self.name else "")


@dataclass(frozen=True)
class Lock:
    """A dvc.lock, and what holds it."""

    origin: Origin
    stages: dict[str, Stage]

    def writer(self, path: str) -> str | None:
        """The stage that writes `path`, or the folder it is in."""
        for stage in self.stages.values():
            if any(path == out or path.startswith(f"{out}/") for out in stage.outs):
                return stage.name
        return None

    def before(self, stage: str) -> list[str]:
        """The stages that `stage` reads from, directly or not, nearest first."""
        found: dict[str, None] = {}
        todo = [stage]
        while todo:
            for dep in self.stages[todo.pop(0)].deps:
                writer = self.writer(dep)
                if writer and writer not in found and writer != stage:
                    found[writer] = None
                    todo.append(writer)
        return list(found)


@dataclass(frozen=True)
class Place:
    """An output in a dvc.lock."""

    lock: Lock
    stage: str
    path: str


def parse(content: str, origin: Origin) -> Lock:
    """The dvc.lock with this content. Raises ArtifactError if it is none."""
    try:
        document = YAML(typ="safe").load(content) or {}
        stages = {name: _stage(name, entry) for name, entry in (document.get("stages") or {}).items()}
    except (YAMLError, *MALFORMED) as error:
        said = " ".join(str(error).split())
        raise ArtifactError(f"{LOCK} of {origin}: not a lock file of DVC ({said}); {REMEDY}") from None
    return Lock(origin, stages)


def workspace(repository: Repository) -> Lock | None:
    """The dvc.lock that lies here, None if there is none."""
    text = _here(repository)
    return None if text is None else parse(text, _origin_here(repository, text))


def of_commit(repository: Repository, commit: str, origin: Origin | None = None) -> Lock | None:
    """The dvc.lock of a commit, None if it has none."""
    content = repository.content(commit, LOCK)
    if content is None:
        return None
    return parse(content.decode(), origin or Origin("commit", repository.subject(commit), commit))


def find(repository: Repository, md5: str, path: str | None = None) -> Iterator[Place]:
    """Every place where a stage wrote `md5` (as `path`): the workspace first, then experiments, then commits."""
    for text, origin in _texts(repository):
        if md5 not in text:  # reading YAML takes a thousand times as long
            continue
        lock = parse(text, origin)
        for stage in lock.stages.values():
            for out, digest in stage.outs.items():
                if digest == md5 and path in (None, out):
                    yield Place(lock, stage.name, out)


def _texts(repository: Repository) -> Iterator[tuple[str, Origin]]:
    seen = set()
    here = _here(repository)
    if here is not None:
        seen.add(here)
        yield here, _origin_here(repository, here)
    for experiment in repository.experiments():
        content = repository.content(experiment.commit, LOCK)
        if content is not None and content.decode() not in seen:
            seen.add(content.decode())
            yield content.decode(), Origin("experiment", experiment.name, experiment.commit)
    for commit in repository.commits(LOCK):
        content = repository.content(commit, LOCK)
        if content is not None and content.decode() not in seen:
            seen.add(content.decode())
            yield content.decode(), Origin("commit", repository.subject(commit), commit)


def _here(repository: Repository) -> str | None:
    path = repository.root / LOCK
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _origin_here(repository: Repository, text: str) -> Origin:
    recorded = repository.lines("log", "-1", "--format=%H", "--", LOCK)
    if recorded and repository.content(recorded[0], LOCK) == text.encode():
        return Origin("commit", repository.subject(recorded[0]), recorded[0])
    return Origin("workspace", "", "")


def _stage(name: str, entry: Mapping[str, Any]) -> Stage:
    deps, outs = ({each["path"]: each["md5"] for each in entry.get(side, [])} for side in ("deps", "outs"))
    params = {file: dict(values) for file, values in entry.get("params", {}).items()}
    return Stage(name, deps, outs, params)
