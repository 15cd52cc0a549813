"""The shape of the project: who imports whom, what each stage depends on, and that nothing is named without a reader.

DVC believes what dvc.yaml says. A file or a params section that a stage uses and does not name there gives a stale
result that is called fresh, so that these are tests and not habits.
"""

import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from breviary import config, stage
from breviary.config import SECTIONS
from tests.declared import ROOT, Declared, but
from tools import deps

SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted((ROOT / "stages").glob("*.py"))
KINDS = sorted(file for file in ROOT.glob("src/breviary/*/*/*.py") if file.name != "__init__.py")
HEAVY = {"torch", "transformers", "peft", "bitsandbytes", "accelerate", "mlflow", "datasets", "scipy", "sklearn"}


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
    shutil.copytree(ROOT, tmp_path / "copy", ignore=but("src", "stages", "profiles", "dvc.yaml", "params.yaml"))
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
    assert present == set(SECTIONS) == read | {"launch"}  # it stands in the commands, which DVC tracks as text
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
