"""The plan of faults, the checks after each, and the counts."""

import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import breaking, damage, faults
from bench.breaking import Fault
from bench.clone import Clone
from bench.faults import Outcome

STAGES = [f"stage{number}" for number in range(28)]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def test_fifty_faults_reach_every_stage_and_every_kind_as_often_as_another() -> None:
    plan = breaking.planned(50, 1, STAGES, list(breaking.KINDS))
    assert set(Counter(fault.stage for fault in plan).values()) == {1, 2}
    assert set(Counter(fault.kind for fault in plan).values()) == {7, 8}
    assert {fault.stage for fault in plan} == set(STAGES)
    assert all(fault.moment in breaking.KINDS[fault.kind] for fault in plan)
    assert all(0 <= fault.delay <= breaking.MOMENTS[fault.moment] for fault in plan)


def test_the_seed_decides_and_a_longer_plan_begins_as_the_shorter() -> None:
    one, same, other = (breaking.planned(20, seed, STAGES, list(breaking.KINDS)) for seed in (1, 1, 2))
    assert one == same != other
    assert breaking.planned(40, 1, STAGES, list(breaking.KINDS))[:20] == one


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """What a finished project of one stage leaves."""
    content = b'{"a": 1}\n'
    digest, folder = md5(content), tmp_path / "project"
    held = folder / ".dvc/cache/files/md5" / digest[:2]
    for place in (held, folder / "data", folder / ".dvc/cache/runs", folder / ".mlflow"):
        place.mkdir(parents=True)
    (held / digest[2:]).write_bytes(content)
    (folder / "data/chunks.jsonl").write_bytes(content)
    lock = {"schema": "2.0", "stages": {"chunk": {"outs": [{"path": "data/chunks.jsonl", "md5": digest}]}}}
    (folder / "dvc.lock").write_text(json.dumps(lock))
    with closing(sqlite3.connect(folder / damage.STORE)) as connection, connection:
        connection.execute("CREATE TABLE runs (run_uuid TEXT, status TEXT)")
        connection.execute("INSERT INTO runs VALUES ('one', 'FINISHED')")
    return Clone(folder, {}, None)


def test_a_project_as_it_was_has_no_differences(clone: Clone) -> None:
    before = damage.state(clone)
    assert list(damage.differences(clone, before)) == damage.strays(clone, before) == []


def test_every_kind_of_damage_is_seen(clone: Clone) -> None:
    before = damage.state(clone)
    (held,) = (clone.cache / "files/md5").glob("??/*")
    held.write_bytes(b"half")
    (clone.folder / "data/chunks.jsonl").write_bytes(b"half")
    (clone.folder / "dvc.lock").write_bytes(before.lock + b"\n")
    with closing(sqlite3.connect(clone.folder / damage.STORE)) as connection, connection:
        connection.execute("INSERT INTO runs VALUES ('two', 'RUNNING')")
    assert list(damage.differences(clone, before)) == [
        "dvc.lock differs",
        "chunk: data/chunks.jsonl is not what dvc.lock says",
        f"{held.relative_to(clone.cache)} in the cache holds something else",
        "MLflow run two is RUNNING",
    ]


def test_temporary_files_are_seen_in_the_workspace_and_in_the_cache(clone: Clone) -> None:
    before = damage.state(clone)
    (clone.folder / "data/.chunks.jsonl.host.7.part").touch()
    (clone.cache / "files/md5/.x.tmp").touch()
    assert damage.strays(clone, before) == ["data/.chunks.jsonl.host.7.part", ".dvc/cache/files/md5/.x.tmp"]


def test_a_stage_is_forgotten_with_all_that_could_spare_its_run(clone: Clone) -> None:
    assert damage.forget(clone, "chunk") == [clone.folder / "data/chunks.jsonl"]
    assert not (clone.cache / "runs").exists()
    assert list((clone.cache / "files/md5").glob("??/*")) == []


def test_the_counts_of_two_runs_of_a_plan_add_up() -> None:
    kinds = [
        {"kill": {"injected": 2, "survived": 2}},
        {"kill": {"injected": 1, "survived": 0}, "full": {"injected": 1}},
    ]
    first, then = ({"seed": 1, "disk": "tmpfs", "late": 1, "by": {"kind": each}, "strays": {}} for each in kinds)
    assert faults.added(first, then | {"strays": {".part": 1}}) == {
        "seed": 1,
        "disk": "tmpfs",
        "late": 2,
        "by": {"kind": {"kill": {"injected": 3, "survived": 2}, "full": {"injected": 1}}},
        "strays": {".part": 1},
    }
    assert faults.added({}, then) == then


def test_a_run_goes_on_only_from_the_counts_of_its_own_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(faults.main, ["--first", "3"])
    assert done.exit_code == 2
    assert "does not count the first 3 of 50 faults of seed 1" in done.output


def test_only_checkpoints_of_a_stage_that_had_nothing_left_to_do_may_stay() -> None:
    names = [".checkpoints/chunk/ab/session.json", ".checkpoints/mix/cd/session.json", ".mlflow/spool/chunk-ab/events"]
    skipped = "Stage 'chunk' didn't change, skipping\n"
    assert faults.left_behind("chunk", names, "Running stage 'chunk':\n") == [f"{name} stays behind" for name in names]
    assert faults.left_behind("chunk", names, skipped) == [f"{name} stays behind" for name in names[1:]]


def test_counts_leave_out_what_came_too_late() -> None:
    fault = Fault(0, "chunk", "kill", "writing", 0.0, 0)
    good = Outcome(fault, 1, True, True, False, ("a.part",), ())
    bad = Outcome(fault, 0, True, True, True, (), ("dvc.lock differs",))
    late = Outcome(fault, 4, False, False, False, (), ())
    report = faults.counted([good, bad, late], 1, None)
    assert (report["injected"], report["survived"], report["mended"], report["late"]) == (2, 1, 1, 5)
    assert report["by"]["kind"] == {"kill": {"injected": 2, "stopped": 2, "survived": 1, "mended": 1}}
    assert report["strays"] == {".part": 1}
    assert report["disk"] == "RLIMIT_FSIZE"
    assert "| kill | 2 | 2 | 1 | 1 |" in faults.markdown(report)
