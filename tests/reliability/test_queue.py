"""Experiments beside each other, and two `dvc repro` at once: each has its own code, all have one MLflow store."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from ruamel.yaml import YAML

from bench import damage
from bench.clone import Clone

TARGET = "chunk"
CODE = ("stages/chunk.py", "src/breviary/data/chunks.py")
PATIENCE = 1800.0  # seconds: a busy machine must not fail a test

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]  # a starved machine takes an hour over them


@contextmanager
def edited(clone: Clone) -> Iterator[None]:
    """Code in the workspace that stops whoever runs it."""
    kept = {path: (clone.folder / path).read_bytes() for path in CODE}
    for path in CODE:
        (clone.folder / path).write_text("raise SystemExit('code of the workspace')\n")
    try:
        yield
    finally:
        for path, content in kept.items():
            (clone.folder / path).write_bytes(content)


def committed(clone: Clone, experiment: str, path: str) -> str:
    """A file in the commit that DVC made of an experiment."""
    named = clone.must("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    (reference,) = [name for name in named if name.endswith(f"/{experiment}")]
    return clone.must("git", "show", f"{reference}:{path}")


def tokens(clone: Clone, experiment: str) -> int:
    """chunk.max_tokens in the params of an experiment."""
    return YAML(typ="safe").load(committed(clone, experiment, "params.yaml"))["chunk"]["max_tokens"]


def statuses(clone: Clone) -> dict[str, set[str]]:
    """Of the runs of `chunk` in the project's MLflow store: the statuses by the name of the experiment."""
    damage.running(clone)  # waits for the uploaders
    query = """SELECT exp.value, runs.status FROM runs
        JOIN tags stage ON stage.run_uuid = runs.run_uuid AND stage.key = 'dvc.stage' AND stage.value = 'chunk'
        JOIN tags exp ON exp.run_uuid = runs.run_uuid AND exp.key = 'dvc.exp'"""
    with closing(sqlite3.connect(clone.folder / damage.STORE)) as connection:
        found: dict[str, set[str]] = {}
        for name, status in connection.execute(query):
            found.setdefault(name, set()).add(status)
    return found


def waited(clone: Clone, names: set[str]) -> None:
    """Wait until no queued experiment is waiting or running."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        _, said = clone.run("dvc", "queue", "status")  # while a worker holds a lock it has no answer
        states = {line.split()[1]: line.split()[-1] for line in said.splitlines() if len(line.split()) > 2}
        if names <= states.keys() and all(states[name] in ("Success", "Failed") for name in names):
            assert {states[name] for name in names} == {"Success"}, said
            return
        time.sleep(2)
    raise AssertionError(f"the queue is not done after {PATIENCE:.0f} s:\n{said}")


def test_two_workers_run_the_code_that_was_queued_and_share_one_store(clone: Clone) -> None:
    before = damage.state(clone)
    wanted = {"narrow": 900, "wide": 1100}
    for name, size in wanted.items():
        clone.must("dvc", "exp", "run", "--queue", "-n", name, "-S", f"chunk.max_tokens={size}", TARGET)
    with edited(clone):
        clone.must("dvc", "queue", "start", "-j", "2")
        try:
            waited(clone, set(wanted))
        finally:
            clone.run("dvc", "queue", "stop")
    assert {name: tokens(clone, name) for name in wanted} == wanted
    found = statuses(clone)
    assert {name: found.get(name) for name in wanted} == {name: {"FINISHED"} for name in wanted}
    receipts = {json.loads(committed(clone, name, "runs/chunk.json"))["key"] for name in wanted}
    assert len(receipts) == 2
    assert list((clone.folder / ".dvc/tmp/exps").rglob("mlflow.db")) == []
    assert list(damage.differences(clone, before)) == []


def test_an_experiment_in_a_temporary_folder_runs_the_code_it_started_with(clone: Clone) -> None:
    before = damage.state(clone)
    process = clone.start("dvc", "exp", "run", "--temp", "-n", "apart", "-S", "chunk.max_tokens=950", TARGET)
    copies = clone.folder / ".dvc/tmp/exps/standalone"
    while process.poll() is None and not any((path / CODE[0]).exists() for path in copies.glob("*")):
        time.sleep(0.02)
    with edited(clone):
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert tokens(clone, "apart") == 950
    assert statuses(clone)["apart"] == {"FINISHED"}
    assert list(damage.differences(clone, before)) == []


def test_of_two_repros_at_once_each_ends_well_or_says_that_it_could_not(clone: Clone) -> None:
    before = damage.state(clone)
    damage.forget(clone, "chunk")
    command = ("dvc", "repro", "--force", "--single-item", "chunk")
    both = [clone.start(*command) for _ in range(2)]
    told = [(process.communicate()[0], process.returncode) for process in both]
    assert 0 in {status for _, status in told}, told
    for said, status in told:
        assert status == 0 or "busy" in said or "Unable to acquire lock" in said, said
    clone.must("dvc", "repro", TARGET)
    assert list(damage.differences(clone, before)) == []
    assert damage.strays(clone, before) == []
    assert not any(json.loads((clone.folder / ".dvc/tmp/rwlock").read_text()).values()), "who is at work on what"
