"""What a stage enters: receipts, scratch folders, resumption, signals; without MLflow, which only reads the spool."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from breviary import tracking
from breviary.errors import DataError
from breviary.tracking import runs
from breviary.tracking.spool import waiting

SOURCE = Path(runs.__file__).parents[2]
SLEEPER = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a shell ignore it
from breviary import tracking
with tracking.run("train", {"lr": 1}, []) as run:
    seen = run.scratch / "step"
    start = int(seen.read_text()) if seen.exists() else 0
    for step in range(start, 6):
        run.metrics({"loss": 1.0}, step)
        seen.write_text(str(step + 1))
        if step == 3 and start == 0:
            print("ready", flush=True)
            time.sleep(60)
"""


def events() -> list[dict[str, Any]]:
    (only,) = waiting()
    return list(only.read())


def ops() -> list[str]:
    return [event["op"] for event in events()]


def test_the_receipt_says_stage_and_key_and_nothing_of_this_run(project: Path) -> None:
    receipts = []
    for _ in range(2):
        with tracking.run("chunk", {"chunk": {"max_tokens": 5}}, []):
            assert not Path("runs/chunk.json").exists() or receipts
        receipts.append(Path("runs/chunk.json").read_bytes())
    assert receipts[0] == receipts[1]
    assert sorted(json.loads(receipts[0])) == ["key", "stage"]
    with tracking.run("chunk", {"chunk": {"max_tokens": 6}}, []):
        pass
    assert Path("runs/chunk.json").read_bytes() != receipts[0]


def test_a_stage_of_one_model_has_its_own_receipt(project: Path) -> None:
    with tracking.run("predict@base", {}, []):
        pass
    assert json.loads(Path("runs/predict@base.json").read_text())["stage"] == "predict@base"


def test_a_failure_keeps_scratch_and_writes_no_receipt(project: Path) -> None:
    with pytest.raises(DataError, match="nothing left"), tracking.run("chunk", {}, []) as run:
        (run.scratch / "half").write_text("1")
        raise DataError("nothing left")
    assert not Path("runs/chunk.json").exists()
    assert events()[-1]["status"] == "FAILED"
    assert {"error": "DataError: nothing left"} in [event.get("tags") for event in events()]
    with tracking.run("chunk", {}, []) as run:
        assert (run.scratch / "half").read_text() == "1"
    assert not run.scratch.exists()
    assert ops().count("start") == 2, "both attempts are one run"


def test_changed_params_start_afresh(project: Path) -> None:
    for rate in (1, 2):
        with pytest.raises(ValueError), tracking.run("train", {"lr": rate}, []) as run:
            assert not (run.scratch / "half").exists()
            (run.scratch / "half").write_text("1")
            raise ValueError
    assert len(waiting()) == 2


def test_metrics_are_named_so_that_mlflow_takes_them_and_what_is_not_finite_is_counted(project: Path) -> None:
    with tracking.run("train", {}, []) as run:
        for step in range(3):
            run.metrics({"ndcg@10": 1, "loss": float("nan"), "gap": float("-inf") if step else 0.5}, step)
    told = [event["values"] for event in events() if event["op"] == "metrics"][:3]
    assert told == [
        {"ndcg_10": 1.0, "gap": 0.5, "loss_not_finite": 1},
        {"ndcg_10": 1.0, "gap_not_finite": 1, "loss_not_finite": 2},
        {"ndcg_10": 1.0, "gap_not_finite": 2, "loss_not_finite": 3},
    ]


def test_time_and_peak_memory_are_always_measured(project: Path) -> None:
    with tracking.run("train", {}, []):
        time.sleep(0.05)
    spent = next(event for event in events() if event["op"] == "metrics")["values"]
    assert 0.05 <= spent["wall_seconds"] < 5
    assert spent["cpu_seconds"] < spent["wall_seconds"]
    assert 10 < spent["peak_resident_mib"] < 100_000


def test_peak_memory_sees_what_was_freed(project: Path) -> None:
    before = runs.peak_memory()["peak_resident_mib"]
    size = int(before + 200) << 20
    block = bytearray(size)
    block[:: 1 << 12] = b"1" * len(block[:: 1 << 12])
    del block
    assert runs.peak_memory()["peak_resident_mib"] > before + 150


def test_artefacts_are_copied_because_outputs_may_be_gone_later(project: Path) -> None:
    Path("models/phase1").mkdir(parents=True)
    Path("models/phase1/weights").write_text("w")
    with tracking.run("train", {}, []) as run:
        run.artifacts(Path("models/phase1"))
        Path("models/phase1/weights").write_text("changed")
        run.artifacts(Path("models/phase1/weights"))
        run.table("samples", [{"text": "a", "summary": "b"}, {"text": "c"}])
    (only,) = waiting()
    files = [only.folder / event["path"] for event in events() if event["op"] == "file"]
    assert [path.name for path in files] == ["params.json", "phase1", "weights", "samples.json"]
    assert (files[1] / "weights").read_text() == "w"
    assert files[2].read_text() == "changed"
    assert json.loads(files[3].read_text()) == {"columns": ["text", "summary"], "data": [["a", "b"], ["c", None]]}


def test_tags_say_where_the_run_comes_from(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run("git init -q && git commit -q --allow-empty -m x", shell=True, check=True, env=git_environment())
    monkeypatch.setenv("DVC_EXP_NAME", "brave-otter")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")
    with tracking.run("chunk", {}, []):
        pass
    Path("params.yaml").write_text("a: 1")
    with tracking.run("mix", {}, []):
        pass
    clean, dirty = sorted((next(spool.read()) for spool in waiting()), key=lambda event: event["name"])
    assert clean["name"] == "chunk brave-otter"
    assert clean["tags"]["dvc.exp"] == "brave-otter"
    assert clean["tags"]["dvc.baseline"] == "abc"
    assert len(clean["tags"]["git.commit"]) == 40
    assert (clean["tags"]["git.dirty"], dirty["tags"]["git.dirty"]) == ("false", "true")


def git_environment() -> dict[str, str]:
    names = {f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {**os.environ, **names}


def test_a_disk_that_refuses_costs_a_warning(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path(".mlflow").write_text("a file where the folder should be")
    with tracking.run("chunk", {}, []) as run:
        run.metrics({"a": 1})
        run.artifacts(Path("does-not-exist"))
    assert Path("runs/chunk.json").exists()
    assert "chunk: warning: nothing is recorded of this run" in capsys.readouterr().err


def test_an_artefact_that_cannot_be_copied_costs_a_warning(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tracking.run("chunk", {}, []) as run:
        run.artifacts(Path("does-not-exist"))
        run.metrics({"a": 1})
    assert capsys.readouterr().err.count("chunk: warning: nothing more is recorded of this run") == 1
    assert Path("runs/chunk.json").exists()


def test_only_the_first_process_of_a_distributed_run_speaks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with tracking.run("train", {}, []) as run:
        run.metrics({"loss": 1})
    assert waiting() == []
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(signal.SIGTERM, 143, "FAILED"), (signal.SIGINT, -2, "KILLED"), (signal.SIGKILL, -9, "")],
)
def test_a_killed_stage_goes_on_where_it_was(project: Path, number: int, code: int, status: str) -> None:
    script = Path("train.py")
    script.write_text(SLEEPER)
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        [sys.executable, script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        (only,) = waiting()
        assert only.close() is False, "a living stage's run is not closed for it"
        process.send_signal(number)
    assert process.returncode == code
    assert not Path("runs/train.json").exists()
    if status:
        assert events()[-1]["status"] == status
    subprocess.run([sys.executable, script], env=environment, check=True)
    assert [event["step"] for event in events() if "loss" in event.get("values", {})] == list(range(6))
    assert ops().count("start") == 2
    assert events()[-1]["status"] == "FINISHED"


def test_sigterm_is_as_before_after_the_run(project: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with tracking.run("train", {}, []):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_params_are_flat_and_a_list_is_one_value() -> None:
    params = {"data": {"sources": [{"kind": "folder"}], "limit": None}, "train": {"optimizer": {"lr": 2e-4}}}
    assert runs.flat(params) == {
        "data.sources": '[{"kind": "folder"}]',
        "data.limit": "None",
        "train.optimizer.lr": "0.0002",
    }
