"""Keep the code part of each stage's `deps` in dvc.yaml: `python tools/deps.py` says what differs, `--write` mends it.

A stage depends on every file that it runs: its script; what that imports, directly or not, inside functions too; the
modules that those files name by a string; and the files of the kinds that it resolves by name. DVC would call a result
fresh after an edit of a file that is left out, and would run a stage for nothing after an edit of one too many.

Of a package of kinds a stage gets the files that params.yaml or a profile names, in the sections that the stage
declares; where these name none, in any section, since the kind may come through a record that an earlier stage wrote
(`models/base.json`). So a new loss term, or an edit of one that phase 3 alone uses, leaves phases 1 and 2 cached.
Some packages are depended on as folders (`FOLDERS`). What is left: `-S` may name a kind that neither params.yaml nor
a profile does. That runs the stage, but a later edit of that kind's file does not, until one of them names it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import grimp
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "breviary"
FOLDERS = {  # a new file in them needs no line in dvc.yaml
    f"{PACKAGE}.data.formats",  # chosen by the documents, not by params
    f"{PACKAGE}.data.sources",  # only `download` reads them, and where it writes the same, DVC runs nothing after it
    f"{PACKAGE}.evaluate.metrics",  # only `evaluate`, in seconds
    f"{PACKAGE}.tracking",  # every stage, all of it
}
CHOSEN_BY_CODE = {"distill": {"cross_entropy", "distillation"}}  # section -> kinds that code names, not params
NAMES_ONLY = {f"{PACKAGE}.config"}  # SECTIONS names what checks each section; checking changes no output


def stages(root: Path = ROOT) -> dict[str, Any]:
    """Each stage of dvc.yaml as it is written; of a `foreach` or `matrix` what it does each time."""
    document = YAML().load((root / "dvc.yaml").read_text(encoding="utf-8"))
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def script(stage: Any) -> str:
    """The file that a stage runs."""
    found = re.search(r"\bstages/\w+\.py\b", str(stage["cmd"]))
    if not found:
        raise SystemExit(f"dvc.yaml: no stages/NAME.py in the command '{stage['cmd']}'")
    return found.group()


def needed(stage: Any, root: Path = ROOT) -> list[str]:
    """The files and folders that `stage` runs: its script first, then those of the package, sorted."""
    declared = [re.sub(r"\$\{.*?\}", "*", str(name)).split(".")[0] for name in stage.get("params", [])]
    entry = script(stage)
    reached: set[str] = set()
    todo = _imported(root / entry) | _named(root / entry, declared, root)
    while todo:
        module = todo.pop()
        if module not in reached:
            reached.add(module)
            todo |= _graph().find_upstream_modules(module) | _parents(module)
            if module not in NAMES_ONLY:
                todo |= _named(_file(module, root), declared, root)
    return [entry, *sorted({_depended_on(module, root) for module in reached if _file(module, root).stat().st_size})]


def rewritten(root: Path = ROOT) -> str:
    """dvc.yaml with the code part of every `deps` made anew, and every other line as it was."""
    lines = (root / "dvc.yaml").read_text(encoding="utf-8").splitlines()
    for name, stage in reversed(stages(root).items()):
        if "deps" not in stage:
            raise SystemExit(f"dvc.yaml: stage '{name}' has no deps; write `deps:` and its script below it")
        deps = stage["deps"]
        if deps.fa.flow_style():
            raise SystemExit(f"dvc.yaml: deps of stage '{name}' are in brackets; write one a line")
        first, column = deps.lc.item(0)
        lines_of_code = [deps.lc.item(i)[0] for i, dep in enumerate(deps) if is_code(str(dep))]
        for line in sorted(lines_of_code, reverse=True):
            del lines[line]
        lines[first:first] = [f"{' ' * (column - 2)}- {file}" for file in needed(stage, root)]
    return "\n".join(lines) + "\n"


def is_code(dep: str) -> bool:
    """Whether an entry of `deps` is one that this tool looks after."""
    return dep.startswith((f"src/{PACKAGE}/", "stages/"))


def problems(root: Path = ROOT) -> list[str]:
    """One line for each file that a stage runs without depending on it, or depends on without running it."""
    found = []
    for name, stage in stages(root).items():
        want, have = set(needed(stage, root)), {str(dep) for dep in stage.get("deps", []) if is_code(str(dep))}
        found += [f"dvc.yaml: stage '{name}' runs but does not depend on {file}" for file in sorted(want - have)]
        found += [f"dvc.yaml: stage '{name}' depends on but does not run {file}" for file in sorted(have - want)]
    return found


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


def _depended_on(module: str, root: Path) -> str:
    """The file of `module`, or the folder that stands for it."""
    for name in _parents(module) | {module}:
        if name in FOLDERS:
            return f"src/{name.replace('.', '/')}"
    return _file(module, root).relative_to(root).as_posix()


def _file(module: str, root: Path) -> Path:
    path = root.joinpath("src", *module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(file: Path) -> set[str]:
    """The modules of the package that `file` imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & _graph().modules


def _named(file: Path, declared: list[str], root: Path) -> set[str]:
    """The modules that `file` names by a string: one by its whole name, or some of a package by their kind."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    found = set()
    for module in strings & _graph().modules:
        found |= _chosen(module, declared, root) if _file(module, root).name == "__init__.py" else {module}
    return found


def _chosen(package: str, declared: list[str], root: Path) -> set[str]:
    """The modules of a package of kinds that params.yaml or a profile chooses."""
    choices = {module.rsplit(".", 1)[1]: module for module in _graph().find_children(package)}
    if package in FOLDERS:
        return set(choices.values())
    words = _words(root)
    here = {word for name in words if any(fnmatch(name, pattern) for pattern in declared) for word in words[name]}
    anywhere = {word for name in words for word in words[name]}
    return {choices[word] for word in (here & choices.keys()) or (anywhere & choices.keys())}


@cache
def _words(root: Path) -> dict[str, set[str]]:
    """For each section, the keys and values in params.yaml and in every profile that could be the name of a kind."""
    found = {section: set(kinds) for section, kinds in CHOSEN_BY_CODE.items()}
    for file in [root / "params.yaml", *sorted((root / "profiles").glob("*.yaml"))]:
        document = YAML().load(file.read_text(encoding="utf-8")) or {}  # reads tags, such as !replace, as plain values
        for section, values in document.items():
            found.setdefault(section, set()).update(_strings(values))
    return found


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from _strings(value)
    elif isinstance(node, list):
        for item in node:
            yield from _strings(item)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        (ROOT / "dvc.yaml").write_text(rewritten(), encoding="utf-8")
    else:
        print("\n".join(problems()) or "dvc.yaml: every stage depends on exactly the files that it runs")
        sys.exit(bool(problems()))
