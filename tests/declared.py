"""What dvc.yaml says of each stage, as DVC itself reads it; and parts of the project, copied."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Declared:
    """One stage of dvc.yaml, with `foreach` and `${...}` written out by DVC itself."""

    name: str
    command: str
    description: str
    files: frozenset[str]
    sections: frozenset[str]
    outs: frozenset[str]


def stages() -> dict[str, Declared]:
    """All of them, by name."""
    code = (
        "import json; from dvc.repo import Repo; print(json.dumps([[s.addressing, s.cmd, s.desc or '', "
        "[d.def_path for d in s.deps if not hasattr(d, 'params')], "
        "[p for d in s.deps if hasattr(d, 'params') for p in d.params], "
        "[o.def_path for o in s.outs]] for s in Repo('.').index.stages]))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {
        name: Declared(name, command, description, frozenset(files), frozenset(sections), frozenset(outs))
        for name, command, description, files, sections, outs in json.loads(found)
    }


def but(*names: str) -> Callable[[str, list[str]], list[str]]:
    """For `copytree`: of the top folder all but these names is ignored, and byte code everywhere."""

    def ignored(folder: str, inside: list[str]) -> list[str]:
        top = Path(folder) == ROOT
        return [name for name in inside if name == "__pycache__" or (top and name not in names)]

    return ignored
