"""A content is registered once, belongs to the run that made it, and is found by what it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from breviary.errors import RegistryError
from breviary.registry import versions
from breviary.registry.versions import Version
from breviary.tracking import store
from breviary.tracking.store import Connection

Register = Callable[..., Version]


@pytest.mark.slow
def test_a_version_is_found_by_its_content_and_by_address(
    connection: Connection, registered: Register, tmp_path: Path
) -> None:
    made = registered("a", **{"dvc.stage": "train_phase3"})
    other = registered("a", serving="otherwise")
    name = made.name
    assert versions.find(connection, name, made.content) == made
    assert versions.find(connection, name, other.content) == other
    assert versions.find(connection, name, {"dvc.md5": "b.dir", "serving": "s"}) is None
    assert versions.find(connection, "nobody", made.content) is None
    versions.point(connection, "candidate", other)
    assert versions.at(connection, f"models:/{name}@candidate") == other
    assert versions.at(connection, f"models:/{name}/1") == made
    assert versions.aliased(connection, name, "champion") is None
    assert (versions.folder(connection, made, tmp_path) / "MLmodel").read_text() == "a"
    assert str(made) == f"{name} version 1"


@pytest.mark.slow
def test_what_is_not_there_is_said_with_what_is(connection: Connection, registered: Register, tmp_path: Path) -> None:
    made = registered("a")
    with pytest.raises(RegistryError, match=r"has no version 7 \(there is: 1\)"):
        versions.get(connection, made.name, "7")
    with pytest.raises(RegistryError, match="@champion: no such model or alias; `dvc repro register`"):
        versions.at(connection, f"models:/{made.name}@champion")
    with pytest.raises(RegistryError, match="'models:breviary' is no address of a model"):
        versions.at(connection, "models:breviary")
    (versions.folder(connection, made, tmp_path) / "MLmodel").unlink()
    with pytest.raises(RegistryError, match=r"the files of .* version 1 are gone from"):
        versions.folder(connection, made, tmp_path)


@pytest.mark.slow
def test_a_version_belongs_to_the_finished_run_of_its_receipt(connection: Connection, tmp_path: Path) -> None:
    receipt = tmp_path / "train_phase3.json"
    receipt.write_text(json.dumps({"stage": "train_phase3", "key": tmp_path.name}))
    tags = {"dvc.key": tmp_path.name}
    run = connection.client.create_run(connection.experiment, tags=tags).info.run_id
    stand_in = versions.trained(connection, receipt, "breviary")
    assert stand_in != run  # it has not finished
    assert connection.client.get_run(stand_in).data.tags["breviary.stands_for"] == "train_phase3"
    connection.client.set_terminated(run)
    assert versions.trained(connection, receipt, "breviary") == run


@pytest.mark.slow
def test_an_upload_that_fails_leaves_no_version(
    connection: Connection, registered: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(connection.client, "log_model_artifacts", broken)
        with pytest.raises(RegistryError, match=r"was not registered: MLflow at .*no space left on device"):
            registered("a")
    assert versions.every(connection, tmp_path.name) == []
    assert registered("a").number == "1"


def test_a_server_that_is_away_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for name, value in (store.PATIENCE | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RegistryError, match=r"cannot be opened: MLflow at http://127.0.0.1:9 does not answer"):
        versions.opened()


def test_a_project_without_runs_has_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not versions.exists()
    assert not (tmp_path / ".mlflow").exists()
