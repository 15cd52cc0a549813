"""A project of its own for each test, and one SQLite store for all: making one costs seconds."""

import socket
import sys
from pathlib import Path

import pytest

from breviary.tracking import store
from tests.projects import enter

SOURCE = Path(store.__file__).parents[2]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, whose stages only spool."""
    enter(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def connection(project: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> store.Connection:
    """The shared store, with an experiment of this test's own."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", project.name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    return store.connect(database)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


STAGE = """
import sys, time
from breviary import tracking
with tracking.run("train", {"lr": {"peak": 1}}, []) as run:
    began = time.monotonic()
    for step in range(300):
        run.metrics({"loss": 1.0}, step)
    print(time.monotonic() - began, flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def stage(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.delenv("BREVIARY_TRACKING")
    (project / "stage.py").write_text(STAGE)
    return [sys.executable, "stage.py"]
