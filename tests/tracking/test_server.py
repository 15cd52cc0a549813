"""A real MLflow server, that is killed and started again while runs are written."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from breviary.tracking import store, uploader
from breviary.tracking.spool import waiting


@pytest.fixture
def server(
    project: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], subprocess.Popen]]:
    """Starts a real server, always with the same store; what is still up at the end is stopped."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(closed_port)]
    command += ["--backend-store-uri", f"sqlite:///{project / 'server.db'}", "--artifacts-destination", "remote"]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # a loaded machine is not what is tested here
    started: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            command, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        started.append(process)
        wait_for(closed_port)
        return process

    yield start
    for process in started:
        kill(process)


def kill(process: subprocess.Popen) -> None:
    """End a server and its workers at once; again, if it is down already."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_real_server(stage: list[str], server: Callable[[], subprocess.Popen]) -> None:
    server()
    subprocess.run([*stage, "0"], check=True, stdout=subprocess.DEVNULL)
    connection = store.connect(store.uri())
    (found,) = connection.client.search_runs([connection.experiment])
    assert found.info.status == "FINISHED"
    assert found.data.metrics["loss"] == 1.0
    assert [item.path for item in connection.client.list_artifacts(found.info.run_id)] == ["params.json"]


@pytest.mark.slow
def test_a_real_server_killed_and_started_again_lacks_nothing(
    stage: list[str], server: Callable[[], subprocess.Popen], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run while it is up, one in the midst of which it is killed, two while it is down; all of them in git."""
    for command in (["init", "-q"], ["config", "user.name", "t"], ["config", "user.email", "t@localhost"]):
        subprocess.run(["git", *command], check=True)
    subprocess.run(["git", "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    first = server()
    subprocess.run([*stage, "0"], check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*stage, "12"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as killed:
        assert killed.stdout is not None and killed.stdout.readline()
        wait_until(lambda: any(spool.progress().get("run") for spool in waiting()))
        kill(first)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        for _ in range(2):
            done = subprocess.run([*stage, "0"], check=True, capture_output=True, text=True)
            assert "MLflow does not have this run yet" in done.stderr
    assert killed.returncode == 0
    assert len(waiting()) == 3

    second = server()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    assert [problem for _, problem in uploader.sync()] == [""] * 3
    connection = store.connect(store.uri())
    runs_ = connection.client.search_runs([connection.experiment], "tags.`dvc.stage` = 'train'")
    assert [run.info.status for run in runs_] == ["FINISHED"] * 4
    for run in runs_:
        history = connection.client.get_metric_history(run.info.run_id, "loss")
        assert sorted(metric.step for metric in history) == list(range(300))
        assert [item.path for item in connection.client.list_artifacts(run.info.run_id)] == ["params.json"]
    (parent,) = connection.client.search_runs([connection.experiment], "tags.`breviary.kind` = 'pipeline'")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs_} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert waiting() == []
    kill(second)


def wait_until(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def wait_for(port: int) -> None:
    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers)
