"""Which dvc.lock holds a content: the workspace, an experiment, a commit, in this order."""

from typing import Any

import pytest

from breviary import artifacts
from breviary.errors import ArtifactError
from breviary.lineage import lock
from breviary.lineage.history import Repository
from breviary.lineage.lock import Origin


def experiment(project: Any, name: str) -> str:
    """Commit the workspace as DVC commits an experiment, and go back."""
    baseline = project.git("rev-parse", "HEAD")
    commit = project.commit(name)
    project.git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", commit)
    project.git("update-ref", "refs/exps/exec/EXEC_BASELINE", baseline)
    project.git("reset", "-q", "--hard", baseline)
    return commit


def test_a_committed_lock_speaks_for_its_commit(project: Any) -> None:
    commit = project.git("rev-parse", "HEAD")
    artifacts.write_text(project.root / "note", "x")
    project.commit("later")
    found = lock.workspace(Repository(project.root))
    assert found is not None and found.origin == Origin("commit", "one", commit)


def test_one_that_is_not_committed_is_the_workspaces(project: Any) -> None:
    project.write(train_phase2="new")
    project.lock()
    found = lock.workspace(Repository(project.root))
    assert found is not None and str(found.origin) == "the workspace"


def test_a_content_is_found_in_its_experiment_then_in_its_commit(project: Any) -> None:
    first = project.digest("models/phase2")
    project.write(train_phase2="tried")
    project.lock()
    tried = project.digest("models/phase2")
    commit = experiment(project, "brave-ant")
    project.write(train_phase2="next")
    project.lock()
    project.commit("two")
    repository = Repository(project.root)
    (place,) = lock.find(repository, tried, "models/phase2")
    assert place.lock.origin == Origin("experiment", "brave-ant", commit)
    assert (place.stage, place.path) == ("train_phase2", "models/phase2")
    (place,) = lock.find(repository, first)
    assert str(place.lock.origin).endswith("(one)")
    assert list(lock.find(repository, "f" * 32)) == []
    assert list(lock.find(repository, first, "models/phase1")) == []


def test_stages_before_a_stage(project: Any) -> None:
    found = lock.workspace(Repository(project.root))
    assert found is not None
    assert set(found.before("train_phase1")) == {"mix", "base_model", "download"}
    assert found.before("base_model") == []
    assert found.writer("models/phase1/adapter.safetensors") == "train_phase1"
    assert found.writer("src/code.py") is None


@pytest.mark.parametrize("content", ["stages: [", "stages: 3", "stages: {a: {outs: [{md5: x}]}}"])
def test_a_lock_that_is_none_is_refused(project: Any, content: str) -> None:
    artifacts.write_text(project.root / "dvc.lock", content)
    with pytest.raises(
        ArtifactError, match=r"dvc\.lock of the workspace: not a lock file .* `git checkout -- dvc\.lock`"
    ):
        lock.workspace(Repository(project.root))
