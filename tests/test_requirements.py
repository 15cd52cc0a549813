"""The project declares exactly what it imports, and pins all of it."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tools import portable

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "stages").glob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BESIDE = {"tests", "tools", "bench"}  # which tests may use, and the package may not
# dvc runs the stages; transformers reads GGUF weights through gguf, fastapi forms through python-multipart
USED_BY_OTHERS = {"dvc", "gguf", "python-multipart"}


@pytest.mark.slow
def test_the_project_declares_exactly_what_it_imports() -> None:
    providers = packages_distributions()
    named = {_normal(requirement.split("==")[0]) for requirement in PROJECT["dependencies"]}
    imported = {module for file in SOURCES for module in _outside(file)}
    offered = {module: {_normal(name) for name in providers.get(module, [module])} for module in imported}
    extras = PROJECT["optional-dependencies"].keys()  # each is called like the module that it brings
    assert {module for module in imported if not offered[module] & named} - extras == set()
    assert named - set().union(*offered.values()) == USED_BY_OTHERS
    tools = {_normal(requirement.split("==")[0]) for requirement in PROJECT["optional-dependencies"]["dev"]}
    tested = {module for file in TESTS for module in _outside(file)} - BESIDE
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
