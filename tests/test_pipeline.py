"""The whole pipeline on a random model, as a person runs it: in a clone, with `dvc`, killed and started again."""

import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bench.clone import Clone, filled

PHASE3_AND_AFTER = {
    *("train_phase3", "predict@phase3", "likelihood@phase3", "distill", "predict@student", "likelihood@student"),
    *("evaluate", "consistency", "register", "report"),
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, caches: Path) -> Clone:
    clone = filled(tmp_path_factory.mktemp("done") / "project", caches)
    clone.must("dvc", "repro")
    return clone


def test_every_model_has_a_row_of_numbers_and_every_stage_a_receipt(done: Clone) -> None:
    scores = {path.stem: json.loads(path.read_text()) for path in (done.folder / "metrics/scores").glob("*.json")}
    assert {"base", "phase1", "phase2", "phase3", "student", "lead3", "oracle"} <= set(scores)
    assert set(scores["phase3"]) == {"paper", "talk"}
    assert 0.05 < scores["lead3"]["talk"]["rouge1"] < scores["oracle"]["talk"]["rouge1"] < 1
    receipts = {path.stem for path in (done.folder / "runs").glob("*.json")}
    assert receipts == set(done.stages())


def test_a_second_repro_runs_nothing(done: Clone) -> None:
    assert "Data and pipelines are up to date" in done.must("dvc", "repro")


def test_an_experiment_on_phase_3_runs_phase_3_and_what_follows(done: Clone) -> None:
    said = done.must("dvc", "exp", "run", "--temp", "-n", "other-rate", "-S", "train_phase3.optimizer.lr=3.0e-4")
    ran = {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage '")}
    assert ran == PHASE3_AND_AFTER


def test_a_clone_that_is_killed_in_phase_2_ends_with_the_same_bytes(
    done: Clone, caches: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clone = filled(tmp_path_factory.mktemp("killed") / "project", caches)
    process = clone.start("dvc", "repro")
    checkpoints = clone.folder / ".checkpoints" / "train_phase2"
    while process.poll() is None and not list(checkpoints.glob("*/step-*")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(checkpoints.glob("*/step-*")), "phase 2 ended before it could be killed"
    assert not (clone.folder / "models/phase2").exists()
    clone.must("dvc", "repro")
    expected, found = done.hashes(), clone.hashes()
    assert {name for name in expected | found if expected.get(name) != found.get(name)} == set()
    assert clone.stages() == done.stages()


def test_a_project_of_one_kind_of_text_has_no_pairs(caches: Path, tmp_path: Path) -> None:
    clone, yaml = filled(tmp_path / "project", caches), YAML()
    params = clone.folder / "params.yaml"
    values = yaml.load(params.read_text(encoding="utf-8"))
    values["pairs"] |= {"left": None, "right": None, "truth": None}
    for phase in ("phase1", "phase2", "phase3"):
        values["mix"][phase]["shares"] = {"paper": 1.0}
    with params.open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
    clone.must("dvc", "repro", "mix")
    assert (clone.folder / "data/pairs.jsonl").read_text() == ""
    assert (clone.folder / "data/mixtures/phase3.jsonl").stat().st_size


def test_a_clone_of_a_finished_project_fills_a_registry_of_its_own(done: Clone, tmp_path: Path) -> None:
    """Though every file that git keeps of the stage is there already, with the bytes that it would write."""
    done.must("git", "add", "-A")
    done.must("git", "commit", "-qm", "finished")
    done.must("git", "clone", "-q", ".", str(tmp_path / "again"))
    again = Clone(tmp_path / "again", done.environment, None)
    shutil.copytree(done.cache / "files", again.cache / "files")
    said = again.must("dvc", "repro", "register")
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == ["Running stage 'register':"]
    with closing(sqlite3.connect(again.folder / ".mlflow/mlflow.db")) as store:
        names = {name for (name,) in store.execute("SELECT name FROM registered_models")}
    assert names == {"breviary", "breviary-student"}
    assert again.run("git", "status", "--short") == (0, "")
