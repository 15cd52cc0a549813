"""A few seeded faults; `python -m bench.faults` is the long form, over every stage."""

from dataclasses import replace

import pytest

from bench import breaking, damage, faults
from bench.breaking import Fault
from bench.clone import Clone

TARGET = "chunk"
SEED = 7

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0)]  # a starved machine takes an hour over them


@pytest.mark.parametrize("kind", ["kill", "terminate", "killer", "full", "cache"])
def test_the_next_repro_brings_everything_back(kind: str, clone: Clone) -> None:
    if clone.disk is None and kind in breaking.MOUNTING:
        pytest.skip("this user may not mount a disk")
    (fault,) = breaking.planned(1, SEED, ["chunk"], [kind])
    before = damage.state(clone)
    outcome = faults.once(clone, fault, before, TARGET)
    assert outcome.hit, f"{fault} came too late {outcome.late} times\n{outcome.said}"
    assert outcome.wrong == (), outcome.said


def test_a_limit_on_files_stands_in_for_a_full_disk(clone: Clone) -> None:
    fault = Fault(0, "chunk", "full", "working", 0.0, 1000)
    outcome = faults.once(replace(clone, disk=None), fault, damage.state(clone), TARGET)
    assert outcome.hit and outcome.stopped, outcome.said
    assert outcome.wrong == (), outcome.said


def test_a_lock_cut_short_is_mended(clone: Clone) -> None:
    lock = clone.folder / "dvc.lock"
    before = damage.state(clone)
    lock.write_bytes(before.lock[: len(before.lock) // 2])
    assert clone.run(*faults.MEND) == (0, "dvc.lock was cut short: the one in git took its place; run `dvc repro`\n")
    clone.must("dvc", "repro", TARGET)
    assert list(damage.differences(clone, before)) == []


def test_a_run_that_died_with_its_uploader_is_closed_when_another_stage_runs(clone: Clone) -> None:
    hit, status = False, 0
    for delay in (2.0, 1.0, 0.3):  # as late as the stage's speed here allows: its uploader should have begun
        damage.forget(clone, "chunk")
        hit, status, _ = breaking.struck(clone, Fault(0, "chunk", "kill", "working", delay, 0), [])
        if hit:
            break
    assert hit and status
    assert not clone.processes()
    clone.must("dvc", "repro", "--force", "--single-item", "base_model")
    assert damage.running(clone) == []
    clone.must("dvc", "repro", TARGET)
