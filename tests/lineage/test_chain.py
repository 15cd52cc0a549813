"""A flipped byte anywhere between a model and its data is found, and said to be wrong; what is gone is missing."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts
from breviary.lineage import targets
from breviary.lineage.chain import Link


def flip(path: Path) -> None:
    """Change the last bit of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def test_every_link_of_a_good_model_holds(project: Any) -> None:
    links = project.links()
    assert [link for link in links if link.verdict.state != "holds"] == []
    stages = [link.name for link in links if link.kind == "stage"]
    assert sorted(stages) == sorted(
        ["train_phase2", "train_phase1", "fisher_phase1", "mix", "download", "subspace@base", "base_model"]
    )
    assert len(stages) == len(set(stages))
    assert [link.name for link in links if link.kind == "source"] == ["sample"]
    assert [link.verdict.note for link in links if link.kind == "weights"] == [
        f"sha256 of {len(list(project.weights.iterdir()))} files in the model cache"
    ]


ARTEFACTS = {
    "data": "data/documents.jsonl",
    "mixture": "data/mixtures/phase1.jsonl",
    "adapter": "models/phase2/adapter.safetensors",
    "earlier adapter": "models/phase1/adapter.safetensors",
    "Fisher": "models/phase1_anchor/anchor.safetensors",
    "subspace": "models/subspace/base.safetensors",
    "base record": "models/base.json",
}


@pytest.mark.parametrize("path", ARTEFACTS.values(), ids=ARTEFACTS.keys())
def test_a_flipped_byte_in_the_cache_is_found(project: Any, path: str) -> None:
    place = project.cached(path)
    flip(place)
    (broken, *_) = project.broken()
    assert (broken.kind, broken.verdict.state) == ("output", "wrong")
    assert path.startswith(broken.name)
    assert broken.verdict.note == f"{place} holds other bytes than its name says"
    assert broken.verdict.remedy.startswith(f"delete {place}, then run `dvc fetch {broken.name}`, or `dvc repro -f -s ")


@pytest.mark.parametrize("path", ARTEFACTS.values(), ids=ARTEFACTS.keys())
def test_a_flipped_byte_in_the_workspace_is_found(project: Any, path: str) -> None:
    flip(project.root / path)
    (broken, *_) = project.broken()
    assert path.startswith(broken.name)
    assert broken.verdict.state == "wrong"
    assert f"run `dvc checkout --force {broken.name}`" in broken.verdict.remedy


@pytest.mark.parametrize("stage", ["train_phase2", "mix"])
def test_a_changed_receipt_is_found(project: Any, stage: str) -> None:
    flip(project.root / f"runs/{stage}.json")
    (broken, *_) = project.broken()
    assert (broken.kind, broken.name, broken.verdict.state) == ("receipt", f"runs/{stage}.json", "wrong")
    assert broken.verdict.remedy == f"run `git checkout -- runs/{stage}.json`"


def test_changed_weights_are_found(project: Any) -> None:
    flip(project.weights / "model.safetensors")
    (broken,) = project.broken()
    assert (broken.kind, broken.verdict.state) == ("weights", "wrong")
    assert broken.verdict.note == (f"{project.weights / 'model.safetensors'} has not the sha256 that the record names")
    assert broken.verdict.remedy.startswith(f"delete {project.weights} and run `dvc repro -f -s base_model`")


def test_weights_that_are_gone_are_missing_and_not_fetched(project: Any) -> None:
    (project.weights / "tokenizer.json").unlink()
    (broken,) = project.broken()
    assert (broken.verdict.state, broken.verdict.note) == (
        "missing",
        f"{project.weights / 'tokenizer.json'} is not there",
    )
    shutil.rmtree(project.weights)
    (broken,) = project.broken()
    assert (broken.verdict.state, broken.verdict.note) == ("missing", f"{project.weights} is not there")
    assert not project.weights.exists()


@pytest.mark.parametrize("path", ["data/mixtures/phase1.jsonl", "models/phase1_anchor/anchor.safetensors"])
def test_what_is_in_no_cache_and_not_here_is_missing(project: Any, path: str) -> None:
    project.cached(path).unlink()
    assert project.broken() == []  # the copy in the workspace is good
    output = path if path.startswith("data") else str(Path(path).parent)
    shutil.rmtree(project.root / output, ignore_errors=True)
    (project.root / output).unlink(missing_ok=True)
    (broken,) = project.broken()
    assert (broken.name, broken.verdict.state) == (output, "missing")
    assert broken.verdict.remedy.startswith(f"run `dvc fetch {output}` where a remote holds it, or `dvc repro -f -s ")


def test_a_workspace_that_is_not_checked_out_is_verified_from_the_cache(project: Any) -> None:
    shutil.rmtree(project.root / "models")
    shutil.rmtree(project.root / "data")
    assert project.broken() == []


def test_code_that_is_edited_after_the_run_is_found_in_its_commit(project: Any) -> None:
    artifacts.write_text(project.root / "src/code.py", "x = 2\n")
    assert project.broken() == []
    project.commit("edit")
    assert project.broken() == []


def test_code_that_no_commit_holds_is_wrong(project: Any) -> None:
    lock = project.root / "dvc.lock"
    artifacts.write_text(project.root / "src/code.py", "x = 2\n")
    project.lock()
    artifacts.write_text(project.root / "src/code.py", "x = 3\n")
    assert lock.is_file()
    (broken, *_) = project.broken()
    assert (broken.kind, broken.name, broken.verdict.state) == ("code", "src/code.py", "wrong")
    assert broken.verdict.note == "the workspace has another src/code.py, and so has every commit"
    (project.root / "src/code.py").unlink()
    assert {link.verdict.state for link in project.broken()} == {"wrong"}


def test_sources_that_are_gone_from_everywhere_are_missing(project: Any) -> None:
    artifacts.write_text(project.root / "more/talk.vtt", "x")
    text = (project.root / "dvc.lock").read_text().replace("path: sample", "path: more")
    artifacts.write_text(project.root / "dvc.lock", text)
    shutil.rmtree(project.root / "more")
    (broken,) = project.broken()
    assert (broken.kind, broken.name, broken.verdict.state) == ("source", "more", "missing")
    assert broken.verdict.note == "more is neither in the workspace nor in any other commit"


def test_params_that_no_commit_has_are_wrong(project: Any) -> None:
    text = (project.root / "dvc.lock").read_text().replace("weight: 400", "weight: 200")
    artifacts.write_text(project.root / "dvc.lock", text)
    (broken,) = project.broken()
    assert (broken.kind, broken.verdict.state) == ("params", "wrong")
    assert broken.verdict.note == "params.yaml of the workspace has other values of train_phase2"


def test_params_that_changed_since_are_those_of_the_commit(project: Any) -> None:
    path = project.root / "params.yaml"
    artifacts.write_text(path, path.read_text().replace("weight: 400", "weight: 200"))
    assert project.broken() == []


def test_a_stage_that_did_not_read_what_was_written_is_wrong(project: Any) -> None:
    lock = project.root / "dvc.lock"
    old = project.digest("data/mixtures/phase1.jsonl")
    before, _, after = lock.read_text().partition("train_phase2:")
    artifacts.write_text(lock, f"{before}train_phase2:{after.replace(old, 'f' * 32)}")
    (broken,) = project.broken()
    assert (broken.kind, broken.name) == ("input", "data/mixtures/phase1.jsonl")
    assert (broken.verdict.state, broken.verdict.note) == ("wrong", f"mix wrote {old[:7]} since")
    assert broken.verdict.remedy == "run `dvc repro train_phase2`"


def test_an_earlier_model_is_verified_by_the_commit_that_made_it(project: Any, tmp_path: Path) -> None:
    shutil.copytree(project.root / "models/phase2", tmp_path / "kept")
    first = project.git("rev-parse", "HEAD")
    project.write(train_phase2="again")
    artifacts.write_text(project.root / "src/code.py", "x = 2\n")
    project.lock()
    project.commit("two")
    links = list(targets.links(targets.project(project.root), tmp_path / "kept", None))
    assert [link for link in links if link.verdict.state != "holds"] == []
    assert links[1].name == f"dvc.lock of commit {first[:7]} (one)"
    again = project.links()
    assert again[1].name.endswith("(two)")


def test_the_run_of_the_model_alone_is_asked_for(project: Any) -> None:
    from breviary.lineage.objects import Verdict

    asked = []

    def run(stage: str, key: str) -> Verdict:
        asked.append((stage, key))
        return Verdict("missing", "no run", "sync")

    links = list(targets.links(targets.project(project.root), project.root / "models/phase2", run))
    assert asked == [("train_phase2", "key of train_phase2")]
    (broken,) = [link for link in links if link.verdict.state != "holds"]
    assert broken == Link(4, "run", "MLflow run of train_phase2", "key of train_phase2", broken.verdict)


def test_a_part_of_an_output_is_an_input_too(project: Any) -> None:
    lock = project.root / "dvc.lock"
    folder, file = project.digest("models/phase1"), project.digest("models/phase1/adapter.safetensors")
    before, _, after = lock.read_text().partition("train_phase2:")
    after = after.replace("path: models/phase1\n", "path: models/phase1/adapter.safetensors\n").replace(folder, file)
    artifacts.write_text(lock, f"{before}train_phase2:{after}")
    assert project.broken() == []
