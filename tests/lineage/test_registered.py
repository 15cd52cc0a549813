"""From a registered version back: the copy in the registry, the receipts, the run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts
from breviary.errors import RegistryError
from breviary.lineage import registered, targets
from breviary.lineage.chain import Link
from breviary.registry import versions
from breviary.tracking import store

KEYS = {stage: f"key of {stage}" for stage in ("train_phase2", "train_phase1", "mix", "download")}


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def connection(project: Any, database: str, monkeypatch: pytest.MonkeyPatch) -> store.Connection:
    for name, value in store.PATIENCE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", project.root.parent.name)
    return store.connect(database)


@pytest.fixture
def name(project: Any, connection: store.Connection) -> str:
    """A model of this test's own, with the run that trained it."""
    tags = {"dvc.stage": "train_phase2", "dvc.key": "key of train_phase2"}
    run = connection.client.create_run(connection.experiment, tags=tags).info.run_id
    connection.client.set_terminated(run)
    name = project.root.parent.name
    register(project, connection, name, {}, run)
    return name


def register(project: Any, connection: store.Connection, name: str, tags: dict[str, str], run: str) -> None:
    package = project.root.parent / "package"
    if not package.exists():
        shutil.copytree(project.root / "models/phase2", package / "artifacts/adapter")
        shutil.copy(project.root / "models/base.json", package / "artifacts/base.json")
        artifacts.write_text(package / "MLmodel", "{}\n")
    known = {
        "dvc.md5": project.digest("models/phase2"),
        "dvc.path": "models/phase2",
        "dvc.stage": "train_phase2",
        "receipt.key": "key of train_phase2",
        "stages": json.dumps(KEYS),
    }
    versions.register(connection, name, package, known | tags, run)


def broken(project: Any, name: str, number: int = 1) -> list[Link]:
    links = registered.links(targets.project(project.root), f"models:/{name}/{number}")
    return [link for link in links if link.verdict.state != "holds"]


def files(connection: store.Connection, name: str) -> Path:
    version = versions.at(connection, f"models:/{name}/1")
    return versions.folder(connection, version, Path("unused"))


def test_a_good_version_holds_by_number_and_by_alias(project: Any, connection: store.Connection, name: str) -> None:
    connection.client.set_registered_model_alias(name, "champion", "1")
    links = list(registered.links(targets.project(project.root), f"models:/{name}@champion"))
    assert [link for link in links if link.verdict.state != "holds"] == []
    assert [link.kind for link in links[:6]] == ["registered", "files", "files", "receipts", "lock", "stage"]
    (run,) = [link for link in links if link.kind == "run"]
    assert run.verdict.note.startswith("run ")


@pytest.mark.parametrize("file", ["artifacts/adapter/adapter.safetensors", "artifacts/base.json"])
def test_a_flipped_byte_in_the_registry_is_found(
    project: Any, connection: store.Connection, name: str, file: str
) -> None:
    path = files(connection, name) / file
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    (only,) = broken(project, name)
    assert (only.kind, only.verdict.state) == ("files", "wrong")
    assert file.startswith(only.name)
    assert only.verdict.remedy == registered.AGAIN


def test_files_that_are_gone_are_missing(project: Any, connection: store.Connection, name: str) -> None:
    shutil.rmtree(files(connection, name) / "artifacts/adapter")
    (only,) = broken(project, name)
    assert (only.kind, only.verdict.state) == ("files", "missing")
    shutil.rmtree(files(connection, name))
    (only,) = broken(project, name)
    assert "are gone from" in only.verdict.note


def test_a_run_that_is_gone_or_did_not_finish(project: Any, connection: store.Connection, name: str) -> None:
    (run,) = connection.client.search_runs([connection.experiment])
    connection.client.set_terminated(run.info.run_id, "FAILED")
    (only,) = broken(project, name)
    assert (only.kind, only.verdict.state) == ("run", "wrong")
    assert only.verdict.note == f"run {run.info.run_id} is FAILED, of stage train_phase2"
    connection.client.delete_run(run.info.run_id)
    (only,) = broken(project, name)
    assert only.verdict.state == "missing" and "breviary sync" in only.verdict.remedy


def test_other_receipts_than_at_registration(project: Any, connection: store.Connection, name: str) -> None:
    artifacts.write_json(project.root / "runs/mix.json", {"stage": "mix", "key": "another"})
    project.lock()
    project.commit("two")
    artifacts.write_json(project.root / "runs/train_phase2.json", {"stage": "train_phase2", "key": "another"})
    project.lock()
    (run,) = connection.client.search_runs([connection.experiment])
    register(project, connection, name, {"receipt.key": "third"}, run.info.run_id)
    first, *_ = broken(project, name, 2)
    assert (first.kind, first.verdict.state) == ("receipts", "wrong")


def test_a_version_from_elsewhere(project: Any, connection: store.Connection, name: str) -> None:
    (run,) = connection.client.search_runs([connection.experiment])
    register(project, connection, name, {"dvc.md5": "f" * 32 + ".dir"}, run.info.run_id)
    wrong = broken(project, name, 2)
    assert [(link.kind, link.verdict.state) for link in wrong] == [("files", "wrong"), ("lock", "missing")]
    register(project, connection, name, {"dvc.md5": ""}, run.info.run_id)
    (only,) = broken(project, name, 3)
    assert only.verdict.note == "no tag dvc.md5: not registered by this project's pipeline"


def test_a_name_that_is_not_registered(project: Any, connection: store.Connection, monkeypatch: Any) -> None:
    with pytest.raises(RegistryError, match="no such model or alias"):
        list(registered.links(targets.project(project.root), "models:/nothing@champion"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(RegistryError, match=r"there is no MLflow store at sqlite:.*run `dvc repro`"):
        list(registered.links(targets.project(project.root), "models:/nothing@champion"))
    assert not (project.root / ".mlflow/mlflow.db").exists()
