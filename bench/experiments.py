"""Experiments of this project as DVC keeps them: commits under refs/exps, their outputs in the cache.

An experiment is current when it ran with the params and the code that are in the workspace now. One that is not is run
again; whatever stage of it did not change comes from DVC's run cache, so that this costs seconds, and a grid that was
interrupted goes on where it stopped, inside a phase too (checkpoints).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PARAMS, LOCK = "params.yaml", "dvc.lock"
CODE = ("src", "stages", "dvc.yaml")  # decides, with params.yaml, what an experiment does
TEMPORARY = Path(".dvc/tmp/exps/standalone")  # `dvc exp run --temp` makes its copies of the project here


def git(*words: str) -> str:
    """What git says. Raises CalledProcessError."""
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()


def known(prefix: str) -> dict[str, str]:
    """The newest commit of each experiment whose name starts with `prefix`, of any baseline."""
    lines = git("for-each-ref", "--sort=committerdate", "--format=%(objectname) %(refname)", "refs/exps")
    named = [(line.split("/")[-1], line.split()[0]) for line in lines.splitlines() if line.count("/") == 4]
    return {name: commit for name, commit in named if name.startswith(prefix)}


def workspace() -> str:
    """A commit of the workspace as it is, HEAD if nothing differs. Raises ValueError for code it would lack."""
    strangers = git("ls-files", "--others", "--exclude-standard", "--", *CODE)
    if strangers:
        raise ValueError(f"experiments run without files that git does not know; `git add` {strangers.split()}")
    return git("stash", "create") or git("rev-parse", "HEAD")


def overridden(overrides: Sequence[str]) -> dict[str, Any]:
    """params.yaml as `dvc exp run -S` would change it, by DVC's own hand. Raises ValueError."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PARAMS
        shutil.copyfile(PARAMS, copy)
        try:
            apply_overrides(copy, list(overrides))
        except InvalidArgumentError as error:
            raise ValueError(f"{error}: {error.__cause__}") from None
        return _yaml(copy.read_text(encoding="utf-8"))


def is_current(commit: str, now: str, params: Mapping[str, Any], targets: Sequence[str]) -> bool:
    """Whether the experiment `commit` has the code of `now`, these params, and what `targets` make of them."""
    if any(git("rev-parse", f"{commit}:{path}") != git("rev-parse", f"{now}:{path}") for path in CODE):
        return False
    ran, stages = state(commit)
    return ran == params and all(is_fresh(target, stages, params) for target in targets)


def state(commit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The params of an experiment, and its dvc.lock's stages."""
    return _yaml(git("show", f"{commit}:{PARAMS}")), _yaml(git("show", f"{commit}:{LOCK}"))["stages"]


def is_fresh(stage: str, stages: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether dvc.lock's entry of `stage` belongs to these params and to what the stages before it wrote.

    An experiment runs its targets alone, and keeps other entries of dvc.lock as its baseline had them.
    """
    if stage not in stages:
        return False
    made = {out["path"]: (name, out["md5"]) for name, each in stages.items() for out in each.get("outs", [])}
    sections = stages[stage].get("params", {}).get(PARAMS, {})
    if any(params.get(name) != value for name, value in sections.items()):
        return False
    read = [(dep["md5"], *made[dep["path"]]) for dep in stages[stage].get("deps", []) if dep["path"] in made]
    return all(seen == written and is_fresh(maker, stages, params) for seen, maker, written in read)


def run(name: str, overrides: Sequence[str], targets: Sequence[str], log: Path) -> int:
    """Run an experiment in a copy of the project, in the place of one of the same name; its exit status."""
    log.parent.mkdir(parents=True, exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # stages say `python`
    dvc = [sys.executable, "-m", "dvc", "exp"]
    spelled = [word for each in overrides for word in ("-S", each)]
    with log.open("w", encoding="utf-8") as file:
        settings: dict[str, Any] = {"stdout": file, "stderr": subprocess.STDOUT, "env": os.environ | {"PATH": path}}
        head = git("rev-parse", "HEAD")
        if git("for-each-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}"):
            subprocess.run([*dvc, "remove", name], check=False, **settings)
        done = subprocess.run([*dvc, "run", "--temp", "-n", name, *spelled, *targets], check=False, **settings)
        return done.returncode


def link(root: str) -> None:
    """Let `root`, a folder beside the project, be where a temporary copy of the project looks for it."""
    first = Path(root).parts[:2]
    if Path(root).is_absolute() or first[:1] != ("..",) or len(first) < 2:
        return
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    beside = TEMPORARY / first[1]
    if not beside.is_symlink():
        beside.symlink_to(Path("..", first[1]).resolve(), target_is_directory=True)


def files(commit: str) -> Any:
    """What the experiment `commit` wrote, whether git keeps it or DVC's cache: a file system with `read_text(path)`."""
    from dvc.api import DVCFileSystem

    return DVCFileSystem(".", rev=commit)


def _yaml(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)
