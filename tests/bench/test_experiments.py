"""Which experiments count as done, in a real repository; and what `dvc exp run --temp` needs to find data beside it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import experiments

PARAMS = {"runtime": {"seed": 1}, "train": {"lr": 0.1}}


def entry(reads: dict[str, str], writes: dict[str, str], **sections: Any) -> dict[str, Any]:
    """A stage of dvc.lock."""
    listed = {"deps": reads, "outs": writes}
    return {key: [{"path": path, "md5": md5} for path, md5 in files.items()] for key, files in listed.items()} | (
        {"params": {"params.yaml": sections}} if sections else {}
    )


LOCK = {
    "train": entry({"src": "code", "data": "1"}, {"model": "m1"}, runtime={"seed": 1}, train={"lr": 0.1}),
    "likelihood@phase2": entry({"model": "m1"}, {"likelihoods": "l1"}),
}


def test_an_entry_is_fresh_if_all_that_led_to_it_is() -> None:
    assert experiments.is_fresh("likelihood@phase2", LOCK, PARAMS)
    assert not experiments.is_fresh("predict@phase2", LOCK, PARAMS)
    assert not experiments.is_fresh("likelihood@phase2", LOCK, PARAMS | {"train": {"lr": 0.2}})
    retrained = LOCK | {"train": entry({"data": "1"}, {"model": "m2"})}
    assert not experiments.is_fresh("likelihood@phase2", retrained, PARAMS)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    for name in ("src", "stages"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.py").write_text("pass\n")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "params.yaml").write_text("runtime: {seed: 1}\ntrain: {lr: 0.1}\n")
    (folder / "dvc.lock").write_text(f"stages: {LOCK}\n")
    monkeypatch.chdir(folder)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "t")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "t")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run(["git", *words], check=True)
    return folder


def keep(name: str) -> str:
    """Make HEAD an experiment, as DVC does."""
    head = experiments.git("rev-parse", "HEAD")
    experiments.git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", head)
    return head


def test_an_experiment_is_current_until_code_params_or_targets_differ(project: Path) -> None:
    head, targets = keep("ablation-full-17"), ["likelihood@phase2"]
    keep("other-1")
    assert experiments.known("ablation") == {"ablation-full-17": head}
    assert experiments.workspace() == head
    assert experiments.is_current(head, experiments.workspace(), PARAMS, targets)
    assert not experiments.is_current(head, experiments.workspace(), PARAMS, [*targets, "predict@phase2"])
    assert not experiments.is_current(head, experiments.workspace(), PARAMS | {"train": {"lr": 0.2}}, targets)
    (project / "src/a.py").write_text("1\n")
    changed = experiments.workspace()
    assert changed != head
    assert not experiments.is_current(head, changed, PARAMS, targets)
    assert experiments.git("status", "--porcelain") == "M src/a.py"


def test_the_newest_experiment_of_a_name_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep("ablation-full-17")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2090-01-01T00:00:00")
    experiments.git("commit", "-q", "--allow-empty", "-m", "later")
    newest = keep("ablation-full-17")
    assert experiments.known("ablation") == {"ablation-full-17": newest}


def test_code_that_git_does_not_know_is_named(project: Path) -> None:
    (project / "src/new.py").write_text("")
    with pytest.raises(ValueError, match=r"`git add` \['src/new.py'\]"):
        experiments.workspace()


def test_data_beside_the_project_is_found_from_a_temporary_copy(project: Path) -> None:
    (project.parent / "shared/data").mkdir(parents=True)
    (project.parent / "shared/data/x").write_text("here")
    experiments.link("../shared/data")
    experiments.link("../shared/data")
    copy = experiments.TEMPORARY / "tmp123"
    copy.mkdir()
    assert (copy / "../shared/data/x").read_text() == "here"


@pytest.mark.parametrize("root", ["sample", "/somewhere/data"])
def test_data_inside_or_at_a_full_path_needs_no_link(root: str, project: Path) -> None:
    experiments.link(root)
    assert not experiments.TEMPORARY.exists()
