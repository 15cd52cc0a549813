"""Servers that are down, silent, or die: none of them costs a stage more than a warning, and nothing is lost."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from breviary import tracking
from breviary.tracking import runs, store, uploader
from breviary.tracking.spool import Spool, Writer, home, waiting


class FakeServer(ThreadingHTTPServer):
    """As much of MLflow's REST interface as a run needs; stops answering well after `budget` requests."""

    daemon_threads = True

    def __init__(self, artefacts: Path, budget: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.artefacts, self.budget = artefacts, budget
        self.metrics: list[int] = []

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.budget -= 1
        good = self.server.budget >= 0
        answer = json.dumps(self._content(json.loads(body or b"{}")) if good else {}).encode()
        self.send_response(200 if good else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _answer

    def _content(self, asked: dict[str, Any]) -> dict[str, Any]:
        info = {"run_id": "r", "experiment_id": "1", "status": "RUNNING", "artifact_uri": str(self.server.artefacts)}
        run = {"info": info, "data": {}}
        path = self.path.split("?")[0].removeprefix("/api/2.0/mlflow/")
        if path == "runs/log-batch":
            self.server.metrics += [int(metric["step"]) for metric in asked.get("metrics", [])]
        answers = {
            "experiments/get-by-name": {"experiment": {"experiment_id": "1", "name": "breviary"}},
            "runs/search": {},
            "runs/create": {"run": run},
            "runs/get": {"run": run},
        }
        return answers.get(path, {})

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake(project: Path) -> Iterator[FakeServer]:
    with FakeServer(project / "remote", budget=10_000) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "EVERY", 0.02)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


def followed(seconds: float = 0.0) -> Path:
    """Run a small stage with the uploader in a thread of this process; gives the spool's folder."""
    ours, theirs = os.pipe()
    with tracking.run("train", {}, []) as run:
        (only,) = [spool for spool in waiting() if spool.folder.name.startswith("train")]
        thread = threading.Thread(target=uploader.follow, args=(only, ours))
        thread.start()
        for step in range(10):
            run.metrics({"loss": 1}, step)
            time.sleep(seconds / 10)
    os.close(theirs)
    thread.join()
    os.close(ours)
    return only.folder


def test_a_server_gets_each_metric_once(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fake.uri)
    folder = followed(seconds=0.5)
    assert not folder.exists()
    assert sorted(fake.metrics)[-10:] == list(range(10))
    assert (fake.artefacts / "params.json").is_file()


def test_a_server_that_is_down_leaves_a_spool(
    connection: store.Connection, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    local = os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    folder = followed()
    (only,) = waiting()
    assert only.folder == folder
    assert only.progress()["error"].startswith(f"http://127.0.0.1:{closed_port}: ")
    assert len([event for event in only.read() if "loss" in event.get("values", {})]) == 10
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local)
    assert list(uploader.sync()) == [(folder.name, "")]
    (found,) = connection.client.search_runs([connection.experiment])
    assert len(connection.client.get_metric_history(found.info.run_id, "loss")) == 10


def test_after_a_failure_nothing_is_tried_for_a_while(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    fake.budget = 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fake.uri)
    followed(seconds=0.5)
    assert -3 < fake.budget < 0


def test_a_server_that_dies_mid_run_and_comes_back_gets_the_rest(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    fake.budget = 8
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fake.uri)
    folder = followed(seconds=0.5)
    assert folder.exists()
    (only,) = waiting()
    assert "error" in only.progress()
    fake.budget = 10_000
    assert list(uploader.sync()) == [(folder.name, "")]
    assert set(fake.metrics) >= set(range(10))
    assert waiting() == []


def test_a_run_whose_stage_and_uploader_died_is_closed_by_the_next_stage(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fake.uri)
    tags = {"breviary.session": "s", "dvc.exp": "", "git.commit": ""}
    with Writer(Spool(home() / "spool" / "chunk-orphan")) as writer:  # no "end": killed with its uploader
        runs._announce(writer, "chunk", tags, {}, [])
        writer.append("metrics", values={"loss": 1.0}, step=77)
    with Writer(Spool(home() / "spool" / "mix-alive")) as alive:
        runs._announce(alive, "mix", tags, {}, [])
        followed()
        assert 77 in fake.metrics
        assert [spool.folder.name for spool in waiting()] == ["mix-alive"]


def test_a_run_that_never_began_is_forgotten(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fake.uri)
    Writer(Spool(home() / "spool" / "chunk-empty")).close()
    assert list(uploader.sync()) == [("chunk-empty", "")]
    assert waiting() == []


def test_sync_says_what_is_wrong_and_goes_on(project: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    for stage in ("chunk", "mix"):
        with tracking.run(stage, {}, []):
            pass
    assert [("onnection" in problem or "retries" in problem) for _, problem in uploader.sync()] == [True, True]
    assert len(waiting()) == 2


def test_a_stage_warns_once_while_it_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "LOOK", 0.0)
    with tracking.run("train", {}, []) as run:
        run.metrics({"loss": 1}, 0)
        (only,) = waiting()
        only.note(error="connection refused")
        run.metrics({"loss": 1}, 1)
        run.metrics({"loss": 1}, 2)
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert "MLflow cannot be reached (connection refused); the run goes on, `breviary sync` uploads it later" in said


@pytest.mark.slow
def test_a_server_that_never_answers_costs_nothing_while_the_stage_works(
    stage: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        began = time.monotonic()
        done = subprocess.run([*stage, "0"], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.0
    assert time.monotonic() - began < runs.FINISH + 15
    assert "train: warning: MLflow does not have this run yet" in done.stderr
    assert "breviary sync" in done.stderr
    assert Path("runs/train.json").is_file()
    assert len(waiting()) == 1


@pytest.mark.slow
def test_three_stages_at_once_on_an_empty_store(stage: list[str]) -> None:
    """Without the lock, every one of them fails and the store is broken for good."""
    started = [subprocess.Popen([*stage, "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    told = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert told == [b"", b"", b""]
    connection = store.connect(store.uri())
    found = connection.client.search_runs([connection.experiment])
    assert [run.info.status for run in found] == ["FINISHED"] * 3
    assert all(len(connection.client.get_metric_history(run.info.run_id, "loss")) == 300 for run in found)


@pytest.mark.slow
def test_a_stage_killed_outright_is_closed_by_its_uploader(stage: list[str]) -> None:
    with subprocess.Popen([*stage, "60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 600  # a busy machine
    while waiting() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert waiting() == []
    connection = store.connect(store.uri())
    (found,) = connection.client.search_runs([connection.experiment])
    assert found.info.status == "KILLED"
    subprocess.run([*stage, "0"], check=True, stdout=subprocess.DEVNULL)
    (again,) = connection.client.search_runs([connection.experiment])
    assert (again.info.run_id, again.info.status) == (found.info.run_id, "FINISHED")
