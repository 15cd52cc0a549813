"""Costs are measured on a clock that the test holds, and once."""

import math
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from breviary import artifacts
from breviary.model import calibrate
from breviary.model.cost import Cost, Pace

PROFILES = {
    "two": {"num_beams": 2, "do_sample": False, "length_penalty": 0.9},
    "one": {"num_beams": 1, "do_sample": False, "prompt_lookup": 5, "no_repeat_ngram": 3},
}
COST = Cost({10: 1.5}, 0.25, {"one": Pace(1, {1: 2.0})})


class Machine:
    """Takes 1 ms for each token read, and for a step 4 ms, 1 for each row, and 1/50 for each token before it."""

    def __init__(self, model: Any) -> None:
        self.seconds, self.plain = 0.0, model.forward
        model.forward = self.forward

    def __call__(self) -> float:
        return self.seconds

    def forward(self, *args: Any, **more: Any) -> Any:
        rows, tokens = more["input_ids"].shape
        cache = more.get("past_key_values")
        before = cache.get_seq_length() if cache is not None and tokens == 1 else 0
        ms = 4 + rows + rows * before / 50 if tokens == 1 else rows * tokens
        self.seconds += ms / 1000
        return self.plain(*args, **more)


def test_the_measured_cost_is_the_machines(tiny: Any) -> None:
    model = tiny.model()
    found = calibrate.measure(model, tiny.tokenizer, PROFILES, batch=4, max_tokens=300, clock=Machine(model))
    assert found.read_ms == pytest.approx({16: 16, 100: 100, 300: 300})
    assert found.context_ms == pytest.approx(1 / 50, rel=0.01)
    assert {name: pace.beams for name, pace in found.paces.items()} == {"two": 2, "one": 1}
    for name, beams in (("two", 2), ("one", 1)):
        near = {size: 4 + size * beams * (1 + 18 / 50) for size in (1, 4)}
        assert found.paces[name].step_ms == pytest.approx(near)
    assert found.reading("two", 3, 200) == pytest.approx(1200)


def test_a_small_window_is_enough(tiny: Any) -> None:
    found = calibrate.measure(tiny.model(), tiny.tokenizer, PROFILES, batch=1, max_tokens=9)
    assert sorted(found.read_ms) == [3, 9] and all(set(pace.step_ms) == {1} for pace in found.paces.values())
    assert found.context_ms >= 0 and min(found.read_ms.values()) > 0


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with nothing else to do, whatever runs beside this test."""
    monkeypatch.setattr(calibrate, "BUSY", math.inf)


@pytest.mark.parametrize(("others", "kept"), [(0.1, 1), (0.5, 0)])
def test_what_a_busy_machine_took_is_used_and_not_kept(
    others: float, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten seconds on two processors, of which six were its own."""
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))
    clocks = {"perf_counter": iter([0.0, 10.0]), "process_time": iter([0.0, 6.0])}
    monkeypatch.setattr(calibrate, "time", SimpleNamespace(**{name: each.__next__ for name, each in clocks.items()}))
    monkeypatch.setattr(calibrate, "_at_work", iter([100.0, 106.0 + others * 20]).__next__)
    monkeypatch.setattr(calibrate.os, "cpu_count", lambda: 2)
    assert calibrate.remembered(["a"], lambda: COST) == COST
    assert "timing this model on this machine" in caplog.text
    assert len(list(tmp_path.glob("costs/*.json"))) == kept
    assert ("other work took 50% of the processors" in caplog.text) is not bool(kept)


def test_the_work_of_all_processors_is_counted() -> None:
    before, own = calibrate._at_work(), time.process_time()
    while time.process_time() - own < 0.3:
        pass
    assert calibrate._at_work() - before > 0.2  # it is counted in hundredths of a second


@pytest.mark.usefixtures("idle")
def test_it_is_measured_once_for_each_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))
    asked: list[str] = []

    def measured() -> Cost:
        asked.append("again")
        return COST

    assert calibrate.remembered(["a", "fp32"], measured) == COST
    assert calibrate.remembered(["a", "fp32"], measured) == COST
    assert len(asked) == 1
    calibrate.remembered(["a", "bf16"], measured)
    assert len(asked) == 2 and len(list((tmp_path / "costs").iterdir())) == 2
    monkeypatch.setattr(calibrate, "machine", lambda: "another one")
    calibrate.remembered(["a", "fp32"], measured)
    assert len(asked) == 3


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"read_ms": {"x": 1}}'])
def test_a_damaged_file_is_measured_again(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))
    calibrate.remembered(["a"], lambda: COST)
    (file,) = (tmp_path / "costs").iterdir()
    file.write_text(content)
    other = Cost({10: 9.0}, 0.0, {})
    assert calibrate.remembered(["a"], lambda: other) == other
    assert artifacts.read_json(file)["read_ms"] == {"10": 9.0}
