"""The file name is the registry."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from breviary import catalogue, config
from breviary.errors import ConfigError

SOURCES = "breviary.data.sources"


def test_kinds_are_the_files_and_none_is_imported() -> None:
    code = (
        "import sys; from breviary import catalogue; print(catalogue.kinds('breviary.data.sources'), "
        "[name for name in sys.modules if name.startswith('breviary.data.sources.')])"
    )
    environment = {"PYTHONPATH": str(Path(catalogue.__file__).parents[1]), "LC_ALL": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['arxiv', 'folder', 'huggingface', 'jsonl', 'youtube'] []\n"


def test_a_kind_is_its_module() -> None:
    assert catalogue.resolve(SOURCES, "folder").__name__ == f"{SOURCES}.folder"


def test_a_wrong_kind_is_answered_with_the_right_one() -> None:
    with pytest.raises(ConfigError, match="no kind 'foldr' in sources, did you mean 'folder'"):
        catalogue.resolve(SOURCES, "foldr")
    with pytest.raises(ConfigError, match="no kind 'zzz' in sources, known: arxiv, folder"):
        catalogue.resolve(SOURCES, "zzz")


@pytest.mark.parametrize("kind", ["__init__", "os", "../records", "folder.py", ""])
def test_a_kind_cannot_reach_other_modules(kind: str) -> None:
    with pytest.raises(ConfigError, match="no kind"):
        catalogue.resolve(SOURCES, kind)


class Holder(config.Options):
    source: catalogue.kind_of(SOURCES)  # type: ignore[valid-type]


def test_a_field_is_checked_by_the_options_of_its_kind() -> None:
    held = Holder.model_validate({"source": {"kind": "folder", "path": "sample"}})
    assert type(held.source).__module__ == f"{SOURCES}.folder"
    with pytest.raises(ValidationError, match="did you mean 'path'"):
        Holder.model_validate({"source": {"kind": "folder", "pth": "sample"}})


@pytest.mark.parametrize("value", [{}, {"path": "x"}, "folder", 3, None])
def test_something_without_a_kind_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="a mapping with a 'kind' is expected here"):
        Holder.model_validate({"source": value})
