"""What makes DVC run a stage again: `dvc status`, with what dvc.lock and git know of each thing that it names."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from breviary.errors import ArtifactError, ConfigError
from breviary.lineage import origins
from breviary.lineage.history import SHORT, Repository
from breviary.lineage.lock import Lock, Stage

Status = Mapping[str, list[Any]]  # stage -> what DVC says of it: a word, or {"changed deps": {name: how}}

GONE = "(not there)"


@dataclass(frozen=True)
class Cause:
    """One thing that differs."""

    kind: str  # "param", "code", "data", "output", "command", "stage"
    name: str
    what: str

    def plain(self) -> dict[str, str]:
        """As JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Answer:
    """Why a stage would run."""

    stage: str
    causes: list[Cause]  # its own
    first: list[str]  # stages before it that will run before it: it may follow

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        causes = [cause.plain() for cause in self.causes]
        return {"stage": self.stage, "runs": bool(causes), "causes": causes, "first": self.first}


def ask_dvc(repository: Repository, *arguments: str) -> str:
    """What a command of `dvc` prints. Raises ArtifactError with what it says is wrong."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=repository.root, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["nothing"]
        remedy = "; wait until the pipeline that runs is over" if "is busy" in done.stderr else ""
        raise ArtifactError(f"`dvc {' '.join(arguments)}` says: {said[0].removeprefix('ERROR: ')}{remedy}")
    return done.stdout


def status(repository: Repository) -> Status:
    """Every stage that DVC would run, and what it says of it."""
    return json.loads(ask_dvc(repository, "status", "--json") or "{}")


def members(name: str, known: list[str]) -> list[str]:
    """The stage `name`, or all of the group (`foreach`) that it names. Raises ConfigError with near names."""
    if name in known:
        return [name]
    if group := [each for each in known if each.startswith(f"{name}@")]:
        return group
    groups = dict.fromkeys(each.partition("@")[0] for each in known if "@" in each)
    near = get_close_matches(name, [*groups, *known], n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    raise ConfigError(f"no stage '{name}' in dvc.yaml; {hint}")


def stages(repository: Repository) -> list[str]:
    """The names of all stages, in the order of dvc.yaml."""
    return ask_dvc(repository, "stage", "list", "--name-only").split()


def answer(repository: Repository, lock: Lock | None, changed: Status, stage: str) -> Answer:
    """Why `stage` would run, given what DVC says of all stages."""
    known = lock.stages.get(stage) if lock else None
    if lock is None or known is None:
        return Answer(stage, [Cause("stage", stage, "has never run here: dvc.lock does not name it")], [])
    before = set(lock.before(stage))
    first = [name for name in lock.stages if name in before and name in changed]
    causes: list[Cause] = []
    for said in changed.get(stage, []):
        if not isinstance(said, Mapping):
            causes.append(Cause("command", stage, str(said)))
            continue
        for path, how in said.get("changed deps", {}).items():
            if isinstance(how, Mapping):
                causes += _params(repository, known, path, how)
            else:
                causes.append(_dependency(repository, lock, known, path, str(how), first))
        causes += [_output(path, str(how)) for path, how in said.get("changed outs", {}).items()]
    return Answer(stage, causes, first)


def _params(repository: Repository, stage: Stage, file: str, keys: Mapping[str, str]) -> Iterator[Cause]:
    """Each value of the changed keys that is another now."""
    document = origins.read(repository, origins.HERE, file)
    for key in keys:
        old, new = stage.params.get(file, {}).get(key, GONE), origins.at(document, key, GONE)
        for name, before, after in differences(key, old, new):
            yield Cause("param", name, f"{_shown(before)} -> {_shown(after)}")


def differences(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ, as deep down as they can be told apart: (key, old, new)."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            yield from differences(f"{key}.{name}", old.get(name, GONE), new.get(name, GONE))
    elif old != new:
        yield key, old, new


def _dependency(repository: Repository, lock: Lock, stage: Stage, path: str, how: str, first: list[str]) -> Cause:
    writer = lock.writer(path)
    if writer is None:
        kind = "code" if path.startswith(("src/", "stages/")) else "data"
        return Cause(kind, path, how if how != "modified" else _edited(repository, lock, stage, path))
    if path not in stage.deps:
        return Cause("data", path, f"is new among its inputs; {writer} writes it")
    if writer in first:
        return Cause("data", path, f"{how}; {writer} runs first and writes it again (`breviary why {writer}`)")
    if lock.stages[writer].outs.get(path, stage.deps[path]) != stage.deps[path]:
        return Cause("data", path, f"{writer} has written it anew since {stage.name} last ran")
    return Cause("data", path, f"{how} by hand; `dvc checkout --force {path}` brings back what {writer} wrote")


def _edited(repository: Repository, lock: Lock, stage: Stage, path: str) -> str:
    """git's line on how a source differs from what the stage read."""
    md5 = stage.deps.get(path)
    if md5 is None:
        return "is new among its inputs"
    recorded = [lock.origin.commit] if lock.origin.commit else []
    for commit in [*recorded, repository.head(), *repository.commits(path, limit=100)]:
        if commit and repository.digest(commit, path) == md5:
            lines = repository.lines("diff", "--stat=100", commit, "--", path)
            told = lines[-1] if len(lines) > 2 else "".join(lines[:1]).partition("|")[2]  # a folder: the sum
            return f"{' '.join(told.split()) or 'new files, not in git yet'}, since {commit[:SHORT]}"
    return "modified, since a state that is in no commit"


def _output(path: str, how: str) -> Cause:
    if how == "deleted":
        return Cause("output", path, f"is not there; `dvc checkout {path}` brings it back if the cache has it")
    if how == "not in cache":
        return Cause("output", path, f"is not in the cache; `dvc commit` or `dvc fetch {path}` puts it there")
    return Cause("output", path, f"{how} by hand; `dvc checkout --force {path}` undoes that")


def _shown(value: Any) -> str:
    return GONE if value == GONE else json.dumps(value, ensure_ascii=False, default=str)
