"""What every stage does around its work."""

import errno
import json
import os
from pathlib import Path

import pytest

from breviary import config, stage
from breviary.errors import DataError
from breviary.tracking.spool import waiting

PARAMS = "runtime: {seed: 5, threads: 1}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in config.SECTIONS.keys() - {"runtime"}:
        monkeypatch.delitem(config.SECTIONS, name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("BREVIARY_TRACKING", "later")
    Path("params.yaml").write_text(PARAMS)
    return tmp_path


def test_a_stage_gets_its_params_and_a_run_and_leaves_a_receipt(project: Path) -> None:
    with stage.running("chunk", sections=("runtime",)) as running:
        assert (running.name, running.runtime.seed) == ("chunk", 5)
        running.run.metrics({"chunks": 3})
    assert json.loads(Path("runs/chunk.json").read_text())["stage"] == "chunk"
    (spool,) = waiting()
    told = list(spool.read())
    assert told[0]["params"] == {"runtime.seed": "5", "runtime.threads": "1"}
    assert told[-1]["status"] == "FINISHED"


def test_an_expected_error_is_a_message_and_status_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped, stage.running("chunk", sections=("runtime",)):
        raise DataError("documents.jsonl:3: no text")
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "chunk: documents.jsonl:3: no text\n"
    assert not Path("runs").exists()


def test_a_bug_keeps_its_traceback(project: Path) -> None:
    with pytest.raises(ZeroDivisionError), stage.running("chunk", sections=("runtime",)):
        raise ZeroDivisionError
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "free some space, then run it again"), (errno.EROFS, "make it writable")]
)
def test_a_disk_that_refuses_is_named_with_the_remedy(
    number: int, remedy: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped, stage.running("chunk", sections=("runtime",)):
        raise OSError(number, os.strerror(number), "data/chunks.jsonl")
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert f"chunk: [Errno {number}] {os.strerror(number)}: 'data/chunks.jsonl'; {remedy}" in said


def test_another_system_error_keeps_its_traceback(project: Path) -> None:
    with pytest.raises(PermissionError), stage.running("chunk", sections=("runtime",)):
        raise PermissionError(errno.EACCES, "no")


def test_params_are_checked_before_anything_else(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("runtime: {seed: 5, thread: 1}\n")
    with pytest.raises(SystemExit), stage.running("chunk", sections=("runtime",), reads=[Path("missing")]):
        pass
    said = capsys.readouterr().err
    assert "params.yaml:1: runtime.thread: unknown key, did you mean 'threads'?" in said
    assert waiting() == []


def test_a_missing_input_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reads = [Path("data/documents.jsonl")]
    with pytest.raises(SystemExit), stage.running("chunk", sections=("runtime",), reads=reads):
        pass
    assert "chunk: missing: data/documents.jsonl; run `dvc repro`" in capsys.readouterr().err


def test_a_missing_file_that_params_name_is_theirs_to_mend(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), stage.running("chunk", sections=("runtime",), named=lambda _: [Path("mine.json")]):
        pass
    assert capsys.readouterr().err == (
        "chunk: params.yaml names mine.json, which is not there; put it there, or mend the name\n"
    )
