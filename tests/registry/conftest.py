"""One SQLite store for all tests here, since making one costs seconds; each test has names of its own in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from breviary.registry import versions
from breviary.tracking import store
from tests.projects import enter


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture
def connection(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> store.Connection:
    """The registry of a project in `tmp_path`, which is the current folder."""
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    return versions.opened()


@pytest.fixture
def registered(connection: store.Connection, tmp_path: Path) -> Callable[..., versions.Version]:
    """Registers a version with next to nothing in it, under the name of the test's own folder."""

    def register(content: str, **tags: str) -> versions.Version:
        folder = tmp_path / f"version-{content}"
        folder.mkdir(exist_ok=True)
        (folder / "MLmodel").write_text(content)
        run = versions.trained(connection, tmp_path / "none.json", tmp_path.name)
        told = {"dvc.md5": f"{content}.dir", "serving": "s"} | tags
        return versions.register(connection, tmp_path.name, folder, told, run)

    return register
