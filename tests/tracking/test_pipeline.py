"""The parent run: one for each execution, ended when its stages are, and nothing that a stage waits for."""

import json
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts, tracking
from breviary.tracking import execution, pipeline, store, uploader
from breviary.tracking.execution import Execution

COMMIT = "0123456789abcdef0123456789abcdef01234567"
EVALUATION = {
    "models": {
        "base": {"talk": {"rouge1": {"mean": 0.2, "low": 0.1, "high": 0.3, "n": 4}, "none": {"mean": None, "n": 0}}},
        "phase1": {"talk": {"rouge1": {"mean": 0.4, "low": 0.3, "high": 0.5, "n": 4}}},
    },
    "target": {"model": "phase1", "metric": "rouge1", "difference": 0.2, "p": 0.01, "low": None},
}


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that is checked out."""
    monkeypatch.setattr(execution, "git", lambda *arguments: COMMIT if arguments[0] == "rev-parse" else "")


def run(stage: str, params: dict[str, Any] | None = None) -> None:
    with tracking.run(stage, params or {}, []):
        pass


def parents(connection: store.Connection) -> list[Any]:
    return list(connection.client.search_runs([connection.experiment], "tags.`breviary.kind` = 'pipeline'"))


def children(connection: store.Connection) -> dict[str, Any]:
    found = connection.client.search_runs([connection.experiment], "tags.`dvc.stage` LIKE '%'")
    return {each.data.tags["dvc.stage"]: each for each in found}


def table(connection: store.Connection, parent: str, name: str, folder: Path) -> list[dict[str, Any]]:
    content = json.loads(Path(connection.client.download_artifacts(parent, name, str(folder))).read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def test_the_stages_of_a_commit_have_one_parent(connection: store.Connection, git: None) -> None:
    run("chunk")
    run("mix")
    assert [problem for _, problem in uploader.sync()] == ["", ""]
    (parent,) = parents(connection)
    assert (parent.info.run_name, parent.info.status) == ("pipeline 0123456", "FINISHED")
    assert parent.data.tags["breviary.pipeline"] == COMMIT
    found = children(connection)
    assert {each.data.tags["mlflow.parentRunId"] for each in found.values()} == {parent.info.run_id}
    assert parent.info.start_time == min(each.info.start_time for each in found.values())
    assert parent.info.end_time == max(each.info.end_time for each in found.values())


def test_an_experiment_has_its_own(connection: store.Connection, git: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run("chunk")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-ant")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", COMMIT)
    run("mix")
    list(uploader.sync())
    assert {each.info.run_name: each.data.tags["breviary.pipeline"] for each in parents(connection)} == {
        "pipeline 0123456": COMMIT,
        "brave-ant": f"brave-ant@{COMMIT}",
    }


def test_outside_git_there_is_no_parent(connection: store.Connection) -> None:
    run("chunk")
    assert list(uploader.sync()) != []
    assert parents(connection) == []
    assert "mlflow.parentRunId" not in children(connection)["chunk"].data.tags


def test_the_parent_runs_while_a_stage_does(connection: store.Connection, git: None) -> None:
    from breviary.tracking.spool import waiting

    run("chunk")
    list(uploader.sync())
    with tracking.run("mix", {}, []):
        (spool,) = waiting()
        pipeline.attach(connection, str(store.upload(spool, connection)))
        assert [each.info.status for each in parents(connection)] == ["RUNNING"]
    list(uploader.sync())
    assert [each.info.status for each in parents(connection)] == ["FINISHED"]


def test_a_parent_whose_stage_died_is_ended_by_sync(connection: store.Connection, git: None) -> None:
    from breviary.tracking.spool import waiting

    with pytest.raises(RuntimeError), tracking.run("mix", {}, []):
        (spool,) = waiting()
        pipeline.attach(connection, str(store.upload(spool, connection)))
        raise RuntimeError
    store.upload(spool, connection)
    assert [each.info.status for each in parents(connection)] == ["RUNNING"]  # its uploader died too
    pipeline.settle(connection)
    assert [each.info.status for each in parents(connection)] == ["FAILED"]


def test_a_stage_that_failed_and_was_run_again_did_not_fail(connection: store.Connection, git: None) -> None:
    with pytest.raises(RuntimeError), tracking.run("mix", {"a": 1}, []):
        raise RuntimeError
    run("mix", {"a": 2})
    list(uploader.sync())
    assert [each.info.status for each in parents(connection)] == ["FINISHED"]


def test_gathering_links_cached_stages_and_copies_results(
    connection: store.Connection, git: None, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    run("chunk")
    run("evaluate")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-ant")
    run("evaluate", {"k": 2})
    list(uploader.sync())
    artifacts.write_json(Path("data/evaluation.json"), EVALUATION)
    artifacts.write_json(Path("runs/lost.json"), {"stage": "lost", "key": "0" * 32})
    keys, evaluation = uploader.results(Path())
    for _ in range(2):
        parent = pipeline.gather(connection, keys, evaluation, Execution("brave-ant", COMMIT))
        assert parent is not None
    found = children(connection)
    rows = {row["stage"]: row for row in table(connection, parent, "stages.json", project)}
    assert {stage: row["how"] for stage, row in rows.items()} == {
        "chunk": "cached",
        "evaluate": "ran",
        "lost": "unknown",
    }
    assert rows["chunk"]["run"] == found["chunk"].info.run_id
    assert rows["chunk"]["wall_seconds"] >= 0 and rows["lost"]["run"] is None
    results = table(connection, parent, "results.json", project)
    assert [(row["model"], row["mean"]) for row in results] == [("base", 0.2), ("phase1", 0.4)]
    shown = connection.client.get_run(parent)
    assert shown.data.metrics == {
        "base/talk/rouge1": 0.2,
        "phase1/talk/rouge1": 0.4,
        "target/difference": 0.2,
        "target/p": 0.01,
    }
    assert len(connection.client.get_metric_history(parent, "base/talk/rouge1")) == 1
    assert [entry["path"] for entry in json.loads(shown.data.tags["mlflow.loggedArtifacts"])] == [
        "stages.json",
        "results.json",
        "target.json",
    ]
    assert (shown.info.run_name, shown.info.status) == ("brave-ant", "FINISHED")


def test_without_an_execution_it_is_that_of_the_newest_run(
    connection: store.Connection, git: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("chunk")
    list(uploader.sync())
    monkeypatch.setattr(execution, "git", lambda *_: "f" * 40)  # the results were committed since
    parent = pipeline.gather(connection, uploader.results(Path())[0], {})
    assert [each.info.run_id for each in parents(connection)] == [parent]
    assert pipeline.gather(connection, {"lost": "0" * 32}, {}) is None


def test_the_last_stage_asks_its_uploader_to_gather(
    connection: store.Connection, git: None, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    import os
    import threading

    from breviary.tracking.spool import waiting

    monkeypatch.setattr(uploader, "EVERY", 0.02)
    run("chunk")
    list(uploader.sync())
    ours, theirs = os.pipe()
    with tracking.run("register", {}, []) as last:
        last.gather()
        (spool,) = waiting()
        thread = threading.Thread(target=uploader.follow, args=(spool, ours))
        thread.start()
    os.close(theirs)
    thread.join()
    os.close(ours)
    (parent,) = parents(connection)
    rows = table(connection, parent.info.run_id, "stages.json", project)
    assert [(row["stage"], row["how"]) for row in rows] == [("chunk", "ran"), ("register", "ran")]
    assert parent.info.status == "FINISHED"
    assert waiting() == []


def test_a_parent_that_cannot_be_made_costs_no_run(
    connection: store.Connection, git: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the server says no")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "attach", refuse)
        run("chunk")
        assert [problem for _, problem in uploader.sync()] == [""]
    assert children(connection)["chunk"].info.status == "FINISHED"
    parent = pipeline.gather(connection, uploader.results(Path())[0], {})
    assert children(connection)["chunk"].data.tags["mlflow.parentRunId"] == parent
