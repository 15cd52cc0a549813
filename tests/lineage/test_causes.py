"""What makes a stage run again, from what `dvc status` says and dvc.lock knows."""

from typing import Any

import pytest

from breviary import artifacts
from breviary.errors import ConfigError
from breviary.lineage import causes, lock
from breviary.lineage.causes import Answer, Cause
from breviary.lineage.history import Repository

MIXTURE = "data/mixtures/phase1.jsonl"


def why(project: Any, stage: str, changed: causes.Status) -> Answer:
    repository = Repository(project.root)
    return causes.answer(repository, lock.workspace(repository), changed, stage)


def modified(*paths: str, how: Any = "modified", side: str = "deps") -> list[Any]:
    return [{f"changed {side}": dict.fromkeys(paths, how)}]


def test_nothing(project: Any) -> None:
    assert why(project, "train_phase2", {}) == Answer("train_phase2", [], [])


def test_a_stage_that_never_ran(project: Any) -> None:
    (cause,) = why(project, "distill", {"distill": modified("x")}).causes
    assert cause.what == "has never run here: dvc.lock does not name it"


def test_a_param_is_told_old_and_new_as_deep_as_it_goes(project: Any) -> None:
    path = project.root / "params.yaml"
    artifacts.write_text(path, path.read_text().replace("weight: 400", "weight: 2e-1\n      rank: 4"))
    changed = {"train_phase2": [{"changed deps": {"params.yaml": {"train_phase2": "modified"}}}]}
    assert why(project, "train_phase2", changed).causes == [
        Cause("param", "train_phase2.terms.ewc.weight", "400 -> 0.2"),
        Cause("param", "train_phase2.terms.ewc.rank", "(not there) -> 4"),
    ]


def test_a_param_that_is_gone(project: Any) -> None:
    artifacts.write_text(project.root / "params.yaml", "data: {n: 3}\n")
    changed = {"train_phase2": [{"changed deps": {"params.yaml": {"train_phase2": "deleted"}}}]}
    (cause,) = why(project, "train_phase2", changed).causes
    assert (cause.name, cause.what.partition(" -> ")[2]) == ("train_phase2", "(not there)")


def test_code_is_told_as_git_does(project: Any) -> None:
    commit = project.git("rev-parse", "HEAD")[:7]
    artifacts.write_text(project.root / "src/code.py", "x = 1\ny = 2\n")
    artifacts.write_text(project.root / "src/pack/a.py", "a = 2\n")
    artifacts.write_text(project.root / "src/pack/b c.py", "b = 2\n")
    assert why(project, "mix", {"mix": modified("src/code.py", "src/pack")}).causes == [
        Cause("code", "src/code.py", f"1 +, since {commit}"),
        Cause("code", "src/pack", f"2 files changed, 2 insertions(+), 2 deletions(-), since {commit}"),
    ]


def test_code_that_ran_uncommitted(project: Any) -> None:
    artifacts.write_text(project.root / "src/code.py", "x = 2\n")
    project.lock()
    artifacts.write_text(project.root / "src/code.py", "x = 3\n")
    (cause,) = why(project, "mix", {"mix": modified("src/code.py")}).causes
    assert cause.what == "modified, since a state that is in no commit"


def test_data_that_an_earlier_stage_will_write_first(project: Any) -> None:
    changed = {
        "download": modified("sample"),
        "mix": modified("data/documents.jsonl"),
        "train_phase1": modified(MIXTURE),
    }
    answer = why(project, "train_phase1", changed)
    assert answer.first == ["download", "mix"]
    assert answer.causes == [
        Cause("data", MIXTURE, "modified; mix runs first and writes it again (`breviary why mix`)")
    ]
    answer = why(project, "train_phase2", changed)
    assert (answer.causes, answer.first) == ([], ["download", "mix", "train_phase1"])


def test_data_that_was_edited_by_hand(project: Any) -> None:
    (cause,) = why(project, "train_phase1", {"train_phase1": modified(MIXTURE)}).causes
    assert cause.what == f"modified by hand; `dvc checkout --force {MIXTURE}` brings back what mix wrote"


def test_data_that_was_written_anew(project: Any) -> None:
    path = project.root / "dvc.lock"
    old = project.digest(MIXTURE)
    before, _, after = path.read_text().partition("  train_phase1:")
    artifacts.write_text(path, f"{before}  train_phase1:{after.replace(old, 'f' * 32)}")
    (cause,) = why(project, "train_phase1", {"train_phase1": modified(MIXTURE)}).causes
    assert cause.what == "mix has written it anew since train_phase1 last ran"


def test_outputs(project: Any) -> None:
    for how, said in (
        ("deleted", "is not there; `dvc checkout models/phase2`"),
        ("modified", "modified by hand; `dvc checkout --force models/phase2` undoes"),
        ("not in cache", "is not in the cache; `dvc commit`"),
    ):
        changed = {"train_phase2": modified("models/phase2", how=how, side="outs")}
        (cause,) = why(project, "train_phase2", changed).causes
        assert cause.kind == "output" and cause.what.startswith(said)


def test_a_changed_command(project: Any) -> None:
    assert why(project, "mix", {"mix": ["changed command"]}).causes == [Cause("command", "mix", "changed command")]


def test_names_of_stages_and_groups() -> None:
    known = ["mix", "train_phase1", "predict@base", "predict@phase1"]
    assert causes.members("mix", known) == ["mix"]
    assert causes.members("predict", known) == ["predict@base", "predict@phase1"]
    with pytest.raises(ConfigError, match=r"no stage 'train_phas1' in dvc\.yaml; did you mean train_phase1\?"):
        causes.members("train_phas1", known)
    with pytest.raises(ConfigError, match=r"no stage 'zzz' in dvc\.yaml; known: mix, train_phase1, "):
        causes.members("zzz", known)
