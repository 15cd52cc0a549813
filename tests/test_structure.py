"""The shape of the project: who imports whom, what each stage depends on, and that nothing is named without a reader.

DVC believes what dvc.yaml says. A file or a params section that a stage uses and does not name there gives a stale
result that is called fresh, so that these are tests and not habits.
"""

import ast
import json
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from breviary import config, stage
from breviary.config import SECTIONS
from tools import deps, portable

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted((ROOT / "stages").glob("*.py"))
KINDS = sorted(file for file in ROOT.glob("src/breviary/*/*/*.py") if file.name != "__init__.py")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# dvc runs the stages; transformers reads GGUF weights through gguf, fastapi forms through python-multipart
USED_BY_OTHERS = {"dvc", "gguf", "python-multipart"}
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "mlflow", "datasets", "scipy", "sklearn"}

# What must run again after an edit, and nothing else: one file of each layer.
MODELS = ("base", "phase1", "phase2", "phase3", "student")
PREDICT, LIKELIHOOD = ({f"{stage}@{model}" for model in MODELS} for stage in ("predict", "likelihood"))
SUBSPACE = {"subspace@base", "subspace@phase1", "subspace@phase2"}
TRAIN = {"train_phase1", "train_phase2", "train_phase3"}
FISHER = {"fisher_phase1", "fisher_phase2"}
AFTER_AN_EDIT = {
    "src/breviary/errors.py": {
        *("base_model", "download", "chunk", "mine_pairs", "mix", "distill"),
        *("evaluate", "consistency", "register", "report"),
        *(TRAIN | FISHER | SUBSPACE | PREDICT | LIKELIHOOD),
    },
    "src/breviary/data/sources/jsonl.py": {"download"},
    "src/breviary/data/pairs.py": {"mine_pairs", "report"},
    "src/breviary/data/mixtures.py": {"mix"},
    "src/breviary/learn/loop.py": {*TRAIN, "distill"},
    "src/breviary/learn/fisher.py": FISHER,
    "src/breviary/learn/decompose.py": SUBSPACE,
    "src/breviary/learn/terms/ewc.py": {"train_phase2", "train_phase3"},
    "src/breviary/learn/terms/distillation.py": {"distill"},
    "src/breviary/model/generate.py": {*PREDICT, "distill", "register"},
    "src/breviary/evaluate/metrics/rouge.py": {"evaluate", "consistency", "register", "report"},
    "src/breviary/evaluate/gate.py": {"register"},
    "src/breviary/registry/history.py": {"register"},
    "src/breviary/report/contents.py": {"report"},
}


@dataclass(frozen=True)
class Declared:
    """One stage of dvc.yaml, with `foreach` and `${...}` written out by DVC itself."""

    name: str
    command: str
    description: str
    files: frozenset[str]
    sections: frozenset[str]
    outs: frozenset[str]


@dataclass(frozen=True)
class Asked:
    """What the script of a stage asks for when it is run."""

    name: str
    sections: frozenset[str]
    reads: frozenset[str]
    names_more: bool  # files that params, or what there is, decide


class Enough(BaseException):
    """Ends a stage as soon as it has said what it needs."""


@pytest.fixture(scope="module")
def declared() -> dict[str, Declared]:
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


@pytest.fixture(scope="module")
def asked(declared: dict[str, Declared]) -> dict[str, Asked]:
    with pytest.MonkeyPatch.context() as patch:
        return {name: _ask(each.command, patch) for name, each in declared.items()}


def _ask(command: str, patch: pytest.MonkeyPatch) -> Asked:
    """Start the script of `command` as DVC does, up to where it opens its stage."""
    said: list[Asked] = []

    def running(name: str, *, sections: Any, reads: Any = (), named: Any = None) -> None:
        read = frozenset(Path(path).as_posix() for path in reads)
        said.append(Asked(name, frozenset(sections), read, named is not None))
        raise Enough

    words = shlex.split(command)
    start = next(at for at, word in enumerate(words) if word.startswith("stages/"))
    patch.setattr(stage, "running", running)
    patch.setattr(sys, "argv", words[start:])
    patch.chdir(ROOT)
    with pytest.raises(Enough):
        runpy.run_path(str(ROOT / words[start]), run_name="__main__")
    return said[0]


def test_imports_keep_their_contracts() -> None:
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": str(Path(sys.executable).parent), "LC_ALL": "C.UTF-8"}
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_every_stage_depends_on_exactly_the_code_that_it_runs() -> None:
    assert not deps.problems(), "\n".join([*deps.problems(), "mend with: python tools/deps.py --write"])
    assert deps.rewritten() == (ROOT / "dvc.yaml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_file_left_out_of_the_dependencies_is_found_and_put_back(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "copy", ignore=_only("src", "stages", "profiles", "dvc.yaml", "params.yaml"))
    copy = tmp_path / "copy"
    text = (copy / "dvc.yaml").read_text(encoding="utf-8")
    (copy / "dvc.yaml").write_text(text.replace("      - src/breviary/data/chunks.py\n", "", 1), encoding="utf-8")
    assert any(line.endswith("runs but does not depend on src/breviary/data/chunks.py") for line in deps.problems(copy))
    assert deps.rewritten(copy) == text


def test_every_dependency_is_in_the_repository_or_made_by_a_stage(declared: dict[str, Declared]) -> None:
    made = {out for each in declared.values() for out in each.outs}
    missing = [
        f"{each.name}: {file}"
        for each in declared.values()
        for file in sorted(each.files)
        if not (file in made or any(file.startswith(f"{out}/") for out in made) or (ROOT / file).exists())
    ]
    assert not missing


def test_every_stage_reads_the_sections_and_files_that_it_declares_and_no_others(
    declared: dict[str, Declared], asked: dict[str, Asked]
) -> None:
    made = {out for each in declared.values() for out in each.outs}
    for name, each in declared.items():
        assert asked[name].name == name, f"{each.command} calls itself {asked[name].name}"
        assert asked[name].sections == each.sections, f"sections of stage '{name}'"
        assert asked[name].reads <= each.files, f"files that stage '{name}' reads"
        unread = each.files & made - asked[name].reads
        assert not unread or asked[name].names_more, f"files of other stages that '{name}' depends on"


def test_every_section_is_described_present_and_read_by_a_stage(asked: dict[str, Asked]) -> None:
    present = set(YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8")))
    read = {section for each in asked.values() for section in each.sections}
    assert present == set(SECTIONS) == read
    assert config.read(ROOT / "params.yaml").plain().keys() == present


def test_every_stage_says_what_it_does(declared: dict[str, Declared]) -> None:
    assert not [name for name, each in declared.items() if not each.description]


@pytest.mark.parametrize("file", KINDS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_kind_has_a_test_file(file: Path) -> None:
    folder = file.parent.relative_to(ROOT / "src/breviary")
    assert (ROOT / "tests" / folder / f"test_{file.stem}.py").is_file()


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_a_stage_fits_on_a_screen(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT / "src/breviary").as_posix())
def test_a_file_holds_one_idea(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.slow
def test_checking_params_imports_nothing_heavy() -> None:
    code = (
        "import sys; from importlib import import_module; from breviary.config import SECTIONS; "
        f"[import_module(module) for module in SECTIONS.values()]; print(*sorted({HEAVY!r} & sys.modules.keys()))"
    )
    environment = {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


@pytest.mark.slow
def test_the_project_declares_exactly_what_it_imports() -> None:
    providers = packages_distributions()
    named = {_normal(requirement.split("==")[0]) for requirement in PROJECT["dependencies"]}
    imported = {module for file in [*SOURCES, *SCRIPTS] for module in _outside(file)}
    offered = {module: {_normal(name) for name in providers.get(module, [module])} for module in imported}
    assert {module for module in imported if not offered[module] & named} == set()
    assert named - set().union(*offered.values()) == USED_BY_OTHERS
    tools = {_normal(requirement.split("==")[0]) for requirement in PROJECT["optional-dependencies"]["dev"]}
    tested = {module for file in sorted((ROOT / "tests").rglob("*.py")) for module in _outside(file)} - {
        "tools",
        "bench",
    }
    assert {
        each for each in tested if not {_normal(name) for name in providers.get(each, [each])} & (named | tools)
    } == set()


def test_every_pin_is_exact_and_serves_every_build_of_torch() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert portable.portable(text) == text
    pins = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    for requirement in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]:
        name, version = requirement.split("==")
        assert pins[_normal(name.split("[")[0])] == version
    assert "://" not in text


def test_pins_made_beside_one_build_of_torch_lose_what_is_only_its_own() -> None:
    made = "# index\ntorch==2.13.0+cu130\nnvidia-cublas==13.1\n\ntriton==3.7\ncuda-x==1\nnumpy==2.4.6  # via torch\n"
    assert portable.portable(made) == portable.HEADER + "numpy==2.4.6\ntorch==2.13.0\n"


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, declared: dict[str, Declared]) -> Path:
    """A copy of the pipeline in which every stage is up to date, with stand-ins for what the stages write."""
    copy = tmp_path_factory.mktemp("pipeline") / "copy"
    kept = ("src", "stages", "sample", "metrics", "params.yaml", "dvc.yaml", ".dvcignore", ".gitignore")
    shutil.copytree(ROOT, copy, ignore=_only(*kept))
    (copy / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", copy / ".dvc/config")
    for out in sorted(out for each in declared.values() for out in each.outs):
        path = copy / out if Path(out).suffix else copy / out / "part"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(out)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    _dvc(copy, "commit", "--force")
    assert json.loads(_dvc(copy, "status", "--json")) == {}
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("file", AFTER_AN_EDIT)
def test_an_edit_runs_exactly_the_stages_that_use_the_file(file: str, committed: Path) -> None:
    path = committed / file
    before = path.read_bytes()
    path.write_bytes(before + b"# edited\n")
    try:
        assert set(json.loads(_dvc(committed, "status", "--json"))) == AFTER_AN_EDIT[file]
    finally:
        path.write_bytes(before)


def _dvc(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _only(*names: str) -> Any:
    """For `copytree`: of the top folder these names alone, and no byte code."""

    def ignored(folder: str, inside: list[str]) -> list[str]:
        top = Path(folder) == ROOT
        return [name for name in inside if name == "__pycache__" or (top and name not in names)]

    return ignored


def _outside(file: Path) -> Iterator[str]:
    """Top-level names of what `file` imports that is neither ours nor Python's own."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
        for module in modules:
            top = module.split(".")[0]
            if top != "breviary" and top not in sys.stdlib_module_names:
                yield top


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
