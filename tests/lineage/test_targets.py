"""What may be named, and what is said of a name that nothing is known of."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts
from breviary.errors import ArtifactError


@pytest.mark.parametrize("path", ["models/phase2", "models/base.json", "data/mixtures/phase1.jsonl", "runs/mix.json"])
def test_any_output_of_a_stage_may_be_named(project: Any, path: str) -> None:
    links = project.links(path)
    assert (links[0].name, links[0].digest) == (path, project.digest(path))
    assert {link.verdict.state for link in links} == {"holds"}


def test_an_output_that_was_changed_by_hand_is_wrong(project: Any) -> None:
    recorded = project.digest("models/phase2")
    artifacts.write_text(project.root / "models/phase2/adapter.safetensors", "other")
    (only,) = project.links()
    assert (only.verdict.state, only.verdict.note) == ("wrong", f"dvc.lock says {recorded[:7]}")
    assert only.verdict.remedy == "run `dvc checkout --force models/phase2`"


def test_a_copy_elsewhere_is_known_by_its_content(project: Any, tmp_path: Path) -> None:
    shutil.copytree(project.root / "models/phase1", tmp_path / "copy")
    links = project.links(str(tmp_path / "copy"))
    assert links[0].verdict.note == "written by train_phase1"
    assert {link.verdict.state for link in links} == {"holds"}


def test_content_of_no_known_origin_is_wrong(project: Any, tmp_path: Path) -> None:
    artifacts.write_text(tmp_path / "strange/adapter.safetensors", "x")
    (only,) = project.links(str(tmp_path / "strange"))
    assert only.verdict.note == ("no dvc.lock, of the workspace, an experiment or a commit, holds this content")


def test_a_wrong_name_is_told_with_a_near_one(project: Any) -> None:
    with pytest.raises(ArtifactError, match=r"models/phase22: not there, .* did you mean 'models/phase2'?"):
        project.links("models/phase22")
    with pytest.raises(ArtifactError, match=r"zzz: not there, .* name an output of a stage, or models:/NAME@ALIAS"):
        project.links("zzz")
