"""The runs behind the workspace, experiments and commits."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts
from breviary.lineage import executions, targets
from breviary.lineage.history import Repository
from breviary.lineage.recorded import Recorded


def recorded(key: str, pipeline: str = "", experiment: str = "") -> Recorded:
    return Recorded(f"run of {key}", key.removeprefix("key of "), key, "FINISHED", pipeline, experiment, 1.5, 20.0)


def hows(found: executions.Results, **more: str) -> dict[str, str]:
    return {row["stage"]: row["how"] for row in executions.rows(found, lambda key: recorded(key, **more))}


def test_a_first_commit_ran_everything(project: Any) -> None:
    (only,) = executions.results(Repository(project.root))
    assert only.label.endswith("one (and the workspace)")
    assert set(hows(only).values()) == {"ran"}
    assert set(hows(only, pipeline="x@y", experiment="x").values()) == {"cached"}


def test_what_a_commit_did_not_change_was_cached(project: Any) -> None:
    artifacts.write_json(project.root / "runs/mix.json", {"stage": "mix", "key": "other"})
    repository = Repository(project.root)
    here, _ = executions.results(repository)
    assert here.label == "workspace"
    project.commit("two")
    (second, first) = executions.results(repository)
    assert second.label.endswith("two (and the workspace)") and first.label.endswith("one")
    told = {row["stage"]: row["how"] for row in executions.rows(second, lambda key: None)}
    assert set(told.values()) == {"unknown"}
    changed = recorded("other")
    assert second.ran(Recorded(**{**changed.plain(), "stage": "mix"}))
    assert not second.ran(recorded("key of download"))


def test_an_experiment_shows_what_it_restored(project: Any) -> None:
    baseline = project.git("rev-parse", "HEAD")
    artifacts.write_json(project.root / "runs/mix.json", {"stage": "mix", "key": "other"})
    commit = project.commit("exp")
    project.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/brave-ant", commit)
    project.git("reset", "-q", "--hard", baseline)
    (found, _) = executions.results(Repository(project.root))
    assert found.label == f"experiment brave-ant ({commit[:7]} on {baseline[:7]})"
    assert found.execution.tag == f"brave-ant@{baseline}"
    assert found.ran(recorded("other", pipeline=f"brave-ant@{baseline}", experiment="brave-ant"))
    assert not found.ran(recorded("key of download"))


def test_results_of_a_commit_are_read_from_the_cache(project: Any) -> None:
    commit = project.git("rev-parse", "HEAD")
    objects = targets.project(project.root)
    assert executions.evaluation(objects, commit) == {}
    path = project.root / "data/documents.jsonl"
    artifacts.write_text(path, json.dumps({"models": {}}))
    project._keep("data/documents.jsonl")
    project.lock()
    text = (project.root / "dvc.lock").read_text().replace("data/documents.jsonl", executions.EVALUATION)
    artifacts.write_text(project.root / "dvc.lock", text)
    again = project.commit("two")
    path.unlink()
    assert executions.evaluation(targets.project(project.root), again) == {"models": {}}


def test_outside_git_there_are_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert subprocess.run(["git", "rev-parse"], capture_output=True).returncode
    assert list(executions.results(Repository(tmp_path))) == []
