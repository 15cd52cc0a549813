"""What MLflow holds in the end, on a real SQLite store."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from breviary import tracking
from breviary.tracking import store, uploader
from breviary.tracking.spool import waiting


def finish() -> None:
    assert [problem for _, problem in uploader.sync()] == [""]
    assert waiting() == []


def runs_of(connection: store.Connection, wanted: str = "") -> list[Any]:
    return list(connection.client.search_runs([connection.experiment], wanted))


@pytest.mark.slow
def test_everything_that_a_stage_said_is_there(connection: store.Connection, project: Path) -> None:
    Path("documents.jsonl").write_text("{}\n")
    params = {"chunk": {"max_tokens": 512, "words": ["x" * 600]}}
    with tracking.run("chunk", params, [Path("documents.jsonl")]) as run:
        for step in range(1500):  # more than a request takes
            run.metrics({"loss": 1 / (step + 1)}, step)
        run.artifacts(Path("documents.jsonl"))
        run.table("samples", [{"text": "é"}])
    finish()
    (found,) = runs_of(connection)
    history = connection.client.get_metric_history(found.info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(1500))
    assert found.info.status == "FINISHED"
    assert found.data.params == {"chunk.max_tokens": "512"}
    assert {"wall_seconds", "cpu_seconds", "peak_resident_mib"} < found.data.metrics.keys()
    (read,) = found.inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.digest) == ("documents.jsonl", "8a80554c91d9fca8acb82f023de02f11")
    names = sorted(item.path for item in connection.client.list_artifacts(found.info.run_id))
    assert names == ["documents.jsonl", "params.json", "samples.json"]
    assert found.info.artifact_uri.startswith((project / ".mlflow" / "artifacts").as_uri())
    table = connection.client.download_artifacts(found.info.run_id, "samples.json")
    assert json.loads(Path(table).read_text())["data"] == [["é"]]
    whole = connection.client.download_artifacts(found.info.run_id, "params.json")
    assert json.loads(Path(whole).read_text()) == params


def test_a_receipt_finds_the_last_finished_run_of_its_key(connection: store.Connection) -> None:
    ids = []
    for _ in range(2):
        with tracking.run("chunk", {"a": {"b": 1}}, []):
            pass
        finish()
        ids.append(store.find(Path("runs/chunk.json")))
    with pytest.raises(ValueError), tracking.run("chunk", {"a": {"b": 1}}, []):
        raise ValueError
    finish()
    assert len(runs_of(connection)) == 3
    assert ids[0] != ids[1]
    assert store.find(Path("runs/chunk.json")) == ids[1]


def test_a_receipt_without_a_run_finds_nothing(connection: store.Connection) -> None:
    Path("receipt.json").write_text('{"key": "0", "stage": "chunk"}')
    assert store.find(Path("receipt.json")) is None


def test_a_resumed_stage_is_one_run_also_when_its_params_are_told_differently(connection: store.Connection) -> None:
    with pytest.raises(ValueError), tracking.run("train", {"lr": {"peak": 1}}, []) as run:
        for step in range(3):
            run.metrics({"loss": 1}, step)
        raise ValueError("boom")
    finish()
    assert [run.info.status for run in runs_of(connection)] == ["FAILED"]
    with tracking.run("train", {"lr": {"peak": 1}}, []) as run:
        for step in range(3, 6):
            run.metrics({"loss": 1}, step)
    (only,) = waiting()
    only.events.write_text(only.events.read_text().replace('"lr.peak": "1"', '"lr.peak": "2"'))
    finish()
    (found,) = runs_of(connection)
    history = connection.client.get_metric_history(found.info.run_id, "loss")
    assert sorted(point.step for point in history) == list(range(6))
    assert found.data.params == {"lr.peak": "1"}
    assert found.info.status == "FINISHED"
    assert found.data.tags["error"] == "ValueError: boom"


def test_uploading_twice_adds_nothing(connection: store.Connection, project: Path) -> None:
    """As after a crash between MLflow's answer and the note of it."""
    Path("a").write_text("1")
    with tracking.run("train", {"lr": {"peak": 1}}, [Path("a")]) as run:
        run.metrics({"loss": 1}, 1)
        run.artifacts(Path("a"))
    (only,) = waiting()
    shutil.copytree(only.folder, project / "copy")
    finish()
    shutil.copytree(project / "copy", only.folder)
    finish()
    (found,) = runs_of(connection)
    assert len(connection.client.get_metric_history(found.info.run_id, "loss")) == 1
    assert len(found.inputs.dataset_inputs) == 1


def test_an_upload_continues_where_it_stopped(connection: store.Connection) -> None:
    with tracking.run("train", {}, []) as run:
        run.metrics({"loss": 1}, 1)
        (only,) = waiting()
        store.upload(only, connection)
        assert only.pending() == []
        assert [run.info.status for run in runs_of(connection)] == ["RUNNING"]
        run.metrics({"loss": 2}, 2)
    finish()
    (found,) = runs_of(connection)
    assert found.data.metrics["loss"] == 2


def test_a_run_whose_stage_was_killed_is_closed_by_sync(connection: store.Connection) -> None:
    with tracking.run("train", {}, []):
        pass
    (only,) = waiting()
    lines = only.events.read_text().splitlines()
    only.events.write_text("\n".join(lines[:-1]) + "\n")
    finish()
    assert [run.info.status for run in runs_of(connection)] == ["KILLED"]


def test_sync_leaves_a_living_stage_alone(connection: store.Connection) -> None:
    with tracking.run("train", {}, []):
        assert list(uploader.sync()) == []
    finish()


def test_runs_go_to_where_they_were_meant_to(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with tracking.run("train", {}, []):
        pass
    (only,) = waiting()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert store.destination(only) == "http://127.0.0.1:1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    assert store.destination(only) == "sqlite:///elsewhere.db"


@pytest.mark.slow
def test_a_store_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    """Killed while MLflow makes its tables, as an uploader that takes too long is."""
    place = tmp_path / "mlflow.db"
    making = (
        "import os, signal, sqlalchemy, sys; from breviary.tracking import store\n"
        "def dies(connection, cursor, statement, *rest):\n"
        "    if 'model_version_tags' in statement: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sqlalchemy.event.listen(sqlalchemy.engine.Engine, 'before_cursor_execute', dies)\n"
        "store.connect(sys.argv[1])\n"
    )
    where = f"sqlite:///{place}"
    killed = subprocess.run([sys.executable, "-c", making, where], cwd=tmp_path, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL and not place.exists()
    assert store.connect(where).client.search_experiments()
    assert [path.name for path in tmp_path.glob("*mlflow.db*")] == ["mlflow.db"]
