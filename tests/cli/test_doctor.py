"""What `doctor` says, line by line."""

import subprocess
from pathlib import Path

import pytest

from breviary.cli import doctor
from breviary.model import preview, resources
from breviary.model.resources import Memory


def test_a_package_that_is_missing_is_bad() -> None:
    assert doctor._installed("torch")[0]
    assert doctor._installed("no-such-package") == (
        False,
        "no-such-package",
        "not installed: `make repro` installs everything",
    )


@pytest.mark.slow
def test_the_index_is_asked_through_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index on a closed port, as pip's own settings name it."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    good, name, found = doctor._index()
    assert (good, name) == (False, "package index")
    assert "check `pip config list`" in found


def test_an_index_that_never_answers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("pip", timeout)

    monkeypatch.setattr(subprocess, "run", silent)
    assert doctor._index()[2].startswith("no answer in 30 s")


def test_params_that_are_not_valid_are_a_bad_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("runtime: {seed: -1}\n")
    good, name, found = next(doctor._fits(None))
    assert (good, name) == (False, "params.yaml")
    assert "runtime.seed" in found


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("ewc: {weight:", "ewc: {wieght:", "train_phase3.terms.ewc.wieght: unknown key, did you mean 'weight'?"),
        ("  rank: 32", "  rank: 8", "subspace.k: 16 directions of an update of adapter.rank=8"),
        ("  left: paper", "  left: null", "left and right are two domains, or both null"),
    ],
)
def test_methods_that_are_misspelt_or_do_not_go_together_are_a_bad_line(
    right: str, wrong: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("params.yaml").read_text()
    assert right in text
    tiny = {"hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3}
    monkeypatch.setattr(preview, "config", lambda *_: tiny | {"num_hidden_layers": 30, "vocab_size": 49152})
    monkeypatch.chdir(tmp_path)
    for content, expected in ((text, True), (text.replace(right, wrong), False)):
        Path("params.yaml").write_text(content)
        lines = {name: (good, found) for good, name, found in doctor._fits(None)}
        (found,) = [each for good, each in lines.values() if not good] or [""]
        assert (found == "") is expected
        assert (said in found) is not expected


def test_the_accelerator_line_says_how_much_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "available", lambda: Memory("RAM", 24 * 10**9, 20 * 10**9))
    assert doctor._gpu()[2] == "none, the CPU computes; 20.0 GB of memory free of 24.0"


def test_the_model_cache_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))
    (tmp_path / "weights").write_bytes(b"0" * 20_000_000)
    assert next(doctor._space())[2] == f"{tmp_path}: 0.02 GB"
