"""Profiles: what they change, how they are written down, and how `dvc exp run -S` reads the same thing."""

import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from breviary import config
from breviary.cli import overlays
from breviary.errors import ConfigError

PARAMS = """\
# what every stage does
runtime:        # repeatable
  seed: 17      # 0 and up
  threads: 2

backbone:       # the model
  kind: package
  requirement: a==1
  weights: a/b.gguf
  sha256: {digest}

adapter:
  kind: lora
  rank: 32      # 1 and up
  alpha: 64
  dropout: 0.0
  targets: [q_proj, v_proj]  # by the end of their name

predict:
  split: test
  limit: null   # documents
  batch_size: 10
  max_new_tokens: 160
  decoding: {{beams: 1, sample: false, temperature: 0.7, top_p: 0.9, length_penalty: 1.0, repetition_penalty: 1.0, no_repeat_ngram: 0}}
""".format(digest="a" * 64)  # noqa: E501

LARGE = """\
# A large model.
backbone: {kind: hub, name: org/large-7b, revision: 1234567e1234567e1234567e1234567e12345678}
adapter: {rank: 8, dropout: 0.1, targets: [q_proj, up_proj]}
predict: {limit: 5, split: test}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in config.SECTIONS.keys() - {"runtime", "backbone", "adapter", "predict"}:
        monkeypatch.delitem(config.SECTIONS, name)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    profile("large", LARGE)
    return tmp_path


def profile(name: str, content: str) -> None:
    Path("profiles").mkdir(exist_ok=True)
    Path(f"profiles/{name}.yaml").write_text(content)


def values() -> dict[str, object]:
    return YAML(typ="safe").load(Path("params.yaml").read_text())


def test_names_and_purpose(project: Path) -> None:
    profile("cpu", "# The default.\n")
    assert overlays.names() == ["cpu", "large"]
    assert overlays.purpose("large") == "A large model."


def test_changes_name_what_differs_and_nothing_else(project: Path) -> None:
    assert [(change.key, change.old, change.new) for change in overlays.changes("large")][1:] == [
        ("adapter.rank", 32, 8),
        ("adapter.dropout", 0.0, 0.1),
        ("adapter.targets", ["q_proj", "v_proj"], ["q_proj", "up_proj"]),
        ("predict.limit", None, 5),
    ]


def test_a_mapping_of_another_kind_is_replaced_whole(project: Path) -> None:
    overlays.apply("large")
    assert values()["backbone"] == {
        "kind": "hub",
        "name": "org/large-7b",
        "revision": "1234567e1234567e1234567e1234567e12345678",
    }


def test_a_mapping_marked_so_is_replaced_whole(project: Path) -> None:
    profile("less", "# x\nruntime: !replace {seed: 1}\n")
    with pytest.raises(ConfigError, match=r"params.yaml with profile 'less':2: runtime.threads: this key is required"):
        overlays.apply("less")
    assert Path("params.yaml").read_text() == PARAMS


def test_applying_keeps_comments_and_what_is_not_named(project: Path) -> None:
    said = overlays.apply("large")
    text = Path("params.yaml").read_text()
    for kept in ("# what every stage does", "# repeatable", "seed: 17      # 0 and up", "# by the end of their name"):
        assert kept in text
    assert "-  rank: 32      # 1 and up" in said.splitlines()
    assert "+  rank: 8       # 1 and up" in said.splitlines()
    assert not any("seed" in line for line in said.splitlines())


def test_applying_twice_changes_nothing_more(project: Path) -> None:
    overlays.apply("large")
    once = Path("params.yaml").read_bytes()
    assert overlays.apply("large") == ""
    assert Path("params.yaml").read_bytes() == once


def test_a_result_that_is_not_valid_is_refused_before_anything_is_written(project: Path) -> None:
    profile("bad", "# x\nadapter: {rnk: 8, rank: many}\n")
    with pytest.raises(ConfigError, match=r"profile 'bad':\d+: adapter.rnk: unknown key, did you mean 'rank'"):
        overlays.apply("bad")
    assert Path("params.yaml").read_text() == PARAMS


def test_a_wrong_name_is_answered_with_the_right_one(project: Path) -> None:
    with pytest.raises(ConfigError, match="no profile 'lagre', did you mean 'large'"):
        overlays.text("lagre")
    with pytest.raises(ConfigError, match="no profile 'zzz', known: large"):
        overlays.text("zzz")


def test_a_profile_that_is_not_yaml_is_named(project: Path) -> None:
    profile("torn", "# x\nadapter: {rank: 8\n")
    with pytest.raises(ConfigError, match="torn: not valid YAML"):
        overlays.changes("torn")
    profile("list", "# x\n- 1\n")
    with pytest.raises(ConfigError, match="list: sections expected, got list"):
        overlays.changes("list")


def test_outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="run from the top of the project"):
        overlays.names()


MORE = """\
# Everything that is hard to spell.
predict: {limit: null, split: valid, decoding: {sample: true, temperature: 1.0e-4}}
runtime: !replace {threads: 1, seed: 5}
"""


@pytest.mark.parametrize("content", [LARGE, MORE])
def test_dvc_reads_the_arguments_as_what_apply_writes(content: str, project: Path) -> None:
    """`dvc exp run -S` gives its values to this function of DVC."""
    from dvc.utils.hydra import apply_overrides

    profile("one", content)
    words = overlays.arguments("one")
    assert words == shlex.split(" ".join(words).replace('"', r"\"")), "an unquoted $(...) gives the very same words"
    assert words[::2] == ["-S"] * (len(words) // 2)
    apply_overrides("params.yaml", words[1::2])
    by_dvc = values()
    Path("params.yaml").write_text(PARAMS)
    overlays.apply("one")
    assert by_dvc == values()


def test_a_value_that_arguments_cannot_say_is_refused(project: Path) -> None:
    profile("spaced", "# x\nbackbone: {weights: a b.gguf}\nadapter: {targets: ['${x}']}\n")
    with pytest.raises(ConfigError) as caught:
        overlays.arguments("spaced")
    assert str(caught.value).splitlines() == [
        "profiles/spaced.yaml: backbone.weights: 'a b.gguf' cannot be an argument of `dvc exp run -S` "
        "(space, quote, backslash or ${}); use `breviary profile apply spaced` instead",
        "profiles/spaced.yaml: adapter.targets: '${x}' cannot be an argument of `dvc exp run -S` "
        "(space, quote, backslash or ${}); use `breviary profile apply spaced` instead",
    ]
