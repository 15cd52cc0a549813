"""A project of its own for each test, and one SQLite store for all: making one costs seconds."""

from pathlib import Path

import pytest

from breviary.tracking import store


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, whose stages only spool."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("BREVIARY_TRACKING", "later")
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in store.PATIENCE.items():
        monkeypatch.setenv(name, value)  # so that what `connect` sets ends with the test
    return tmp_path


@pytest.fixture
def connection(project: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> store.Connection:
    """The shared store, with an experiment of this test's own."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", project.name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    return store.connect(database)
