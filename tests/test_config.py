"""params.yaml becomes checked options, or one list of everything that is wrong with it, each with its address."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError, model_validator

from breviary import catalogue, config
from breviary.errors import ConfigError


class Inner(config.Options):
    lr: float = Field(gt=0)


class Section(config.Options):
    max_tokens: int = Field(ge=1)
    name: str = ""
    inner: Inner | None = None
    sources: list[catalogue.kind_of("breviary.data.sources")] = Field(default=[])  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _not_seven(self) -> "Section":
        if self.max_tokens == 7:
            raise ConfigError("max_tokens must not be 7, as {text} says")
        return self


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    module = types.ModuleType("a_module_with_options")
    module.Options = Section  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {"runtime": "breviary.config", "chunk": module.__name__}


def read(text: str, sections: dict[str, str], folder: Path) -> config.Params:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return config.read(path, sections)


def problems(text: str, sections: dict[str, str], folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, sections, folder)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


GOOD = "runtime: {seed: 1, threads: 2}\n"


def test_everything_wrong_is_said_at_once_with_its_address(sections: dict[str, str], tmp_path: Path) -> None:
    text = """\
runtime: {seed: -1, threads: 0}
chunk:
  max_tokns: 3
  inner:
    lr: fast
  sources:
    - kind: folder
      pth: a
    - kind: foldr
    - {kind: folder, path: 3}
extra: 1
"""
    assert problems(text, sections, tmp_path) == [
        "params.yaml:1: runtime.seed: Input should be greater than or equal to 0, got -1",
        "params.yaml:1: runtime.threads: Input should be greater than or equal to 1, got 0",
        "params.yaml:2: chunk.max_tokens: this key is required",
        "params.yaml:3: chunk.max_tokns: unknown key, did you mean 'max_tokens'?",
        "params.yaml:5: chunk.inner.lr: Input should be a valid number, got 'fast'",
        "params.yaml:7: chunk.sources.0.path: this key is required",
        "params.yaml:8: chunk.sources.0.pth: unknown key, did you mean 'path'?",
        "params.yaml:9: chunk.sources.1: no kind 'foldr' in sources, did you mean 'folder'?",
        "params.yaml:10: chunk.sources.2.path: Input should be a valid string, got 3",
        "params.yaml:11: extra: unknown key, known: runtime, chunk",
    ]


def test_a_section_that_is_missing(sections: dict[str, str], tmp_path: Path) -> None:
    assert problems(GOOD, sections, tmp_path) == ["params.yaml: chunk: this section is missing"]


def test_a_relation_between_keys(sections: dict[str, str], tmp_path: Path) -> None:
    assert problems(GOOD + "chunk: {max_tokens: 7}\n", sections, tmp_path) == [
        "params.yaml:2: chunk: max_tokens must not be 7, as {text} says"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("runtime: {seed: 1\n", "params.yaml:2: not valid YAML: "),
        ("a: 1\na: 2\n", "params.yaml:2: not valid YAML: "),
        ("- 1\n", "params.yaml: sections expected (runtime, "),
        ("", "params.yaml: sections expected"),
        ("runtime: !!python/object/apply:os.system [ls]\n", "params.yaml"),
        ("runtime: !!int ''\n", "params.yaml: not valid YAML: string index out of range"),
        ("runtime: !!int x\n", "params.yaml: not valid YAML: invalid literal for int"),
        ("r:   # x,\n  s' b c\n\n", "params.yaml: not valid YAML: overlap in comment"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(
    text: str, problem: str, sections: dict[str, str], tmp_path: Path
) -> None:
    assert problems(text, sections, tmp_path)[0].startswith(problem)


@pytest.mark.parametrize("content", [b"a: \xff\n", b"a: \x01\n"])
def test_a_file_that_is_not_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"params.yaml: not valid YAML: "):
        config.read(tmp_path / "params.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"params.yaml: missing; run from the top of the project"):
        config.read(tmp_path / "params.yaml")


@pytest.mark.parametrize("spelling", ["2e-4", "2.0e-4", "0.0002", "2E-4", "2e-04"])
def test_numbers_as_dvc_and_people_write_them(spelling: str, sections: dict[str, str], tmp_path: Path) -> None:
    """YAML 1.1 reads `2e-4` as a word, and `dvc exp run -S lr=2e-5` writes `2e-05`."""
    params = read(GOOD + f"chunk: {{max_tokens: 1, inner: {{lr: {spelling}}}}}\n", sections, tmp_path)
    inner = params.section("chunk", Section).inner
    assert inner is not None and inner.lr == 2e-4
    assert type(params.plain()["chunk"]["inner"]["lr"]) is float


@pytest.mark.parametrize("word", ["no", "on", "yes", "Norway", "012", "1:30"])
def test_words_that_older_yaml_reads_as_something_else(word: str, sections: dict[str, str], tmp_path: Path) -> None:
    text = GOOD + f"chunk: {{max_tokens: 1, name: '{word}'}}\n"
    assert read(text, sections, tmp_path).section("chunk", Section).name == word


def test_no_is_a_word_without_quotes_too(sections: dict[str, str], tmp_path: Path) -> None:
    assert read(GOOD + "chunk: {max_tokens: 1, name: no}\n", sections, tmp_path).section("chunk", Section).name == "no"


@pytest.mark.parametrize("value", ["true", "'3'", "3.5", "null"])
def test_nothing_is_cast_silently(value: str, sections: dict[str, str], tmp_path: Path) -> None:
    (problem,) = problems(GOOD + f"chunk: {{max_tokens: {value}}}\n", sections, tmp_path)
    assert problem.startswith("params.yaml:2: chunk.max_tokens: Input should be a valid integer, got ")


def test_options_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config.Runtime(seed=1, threads=1).seed = 2  # type: ignore[misc]


def test_a_stage_is_given_what_it_declared(sections: dict[str, str], tmp_path: Path) -> None:
    params = read(GOOD + "chunk: {max_tokens: 1}\n", sections, tmp_path).only(["runtime"])
    assert params.section("runtime", config.Runtime).seed == 1
    assert params.plain() == {"runtime": {"seed": 1, "threads": 2}}
    with pytest.raises(ConfigError, match="section 'chunk' was not declared by this stage"):
        params.section("chunk", Section)


def test_plain_values_are_plain(sections: dict[str, str], tmp_path: Path) -> None:
    def types_of(value: Any) -> set[type]:
        if isinstance(value, dict):
            return {dict}.union(*map(types_of, value.values()))
        return {list}.union(*map(types_of, value)) if isinstance(value, list) else {type(value)}

    text = GOOD + "chunk: {max_tokens: 0x10, name: 'q', inner: {lr: 1.50}, sources: [{kind: folder, path: a}]}\n"
    assert types_of(read(text, sections, tmp_path).plain()) == {dict, list, int, str, float}


def test_every_section_has_a_module_with_options() -> None:
    import importlib

    for name, module in config.SECTIONS.items():
        assert name == "runtime" or hasattr(importlib.import_module(module), "Options"), name
