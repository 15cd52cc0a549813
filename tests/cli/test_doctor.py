"""What `doctor` says, line by line."""

import subprocess
from pathlib import Path

import pytest

from breviary.cli import doctor
from breviary.model import resources
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


def test_the_accelerator_line_says_how_much_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "available", lambda: Memory("RAM", 24 * 10**9, 20 * 10**9))
    assert doctor._gpu()[2] == "none, the CPU computes; 20.0 GB of memory free of 24.0"


def test_the_model_cache_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))
    (tmp_path / "weights").write_bytes(b"0" * 20_000_000)
    assert next(doctor._space())[2] == f"{tmp_path}: 0.02 GB"
