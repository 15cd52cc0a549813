"""One request from the plan to the last full stop, on a clock that the test holds."""

import math
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from breviary import config
from breviary.data import prompts
from breviary.data.prompts import Prompt
from breviary.errors import BudgetError
from breviary.model import calibrate, compute, limit
from breviary.model.cost import Cost, Pace
from breviary.model.limit import Limit
from breviary.summarise import budgeted
from breviary.summarise.budget import ENDING_MS, Options
from breviary.summarise.budgeted import Writer, Written

OPTIONS = Options.model_validate(
    {
        "profiles": {"two": {"beams": 2}, "one": {"beams": 1}},
        "profile": "two",
        "max_tokens": 40,
        "max_ms": None,
        "min_tokens": 2,
        "reserve": 0.0,
        "batch_size": 2,
    }
)
COST = Cost({10: 10.0, 100: 100.0}, 0.0, {"two": Pace(2, {1: 4.0}), "one": Pace(1, {1: 2.0})})
PROMPT = Prompt(list(b"text " * 20), False)
WORDS = "Bees dance. They find food, and they "


class Said:
    """A model that says the same words again and again, 2 ms a token, on a clock of its own."""

    def __init__(self, tiny: Any, end_after: int = 10**6, ms: float = 2.0) -> None:
        self.model, self.seconds, self.end_after, self.ms = tiny.model(), 50.0, end_after, ms
        self.plain, self.tokenizer = self.model.forward, tiny.tokenizer
        self.ids = tiny.tokenizer.encode(WORDS)
        self.model.forward = self.forward

    def __call__(self) -> float:
        return self.seconds

    def forward(self, *args: Any, **more: Any) -> Any:
        made = self.plain(*args, **more)
        rows, tokens = more["input_ids"].shape
        cache = more["past_key_values"].get_seq_length() - len(PROMPT.ids)
        self.seconds += (rows * tokens if tokens > 1 else self.ms * rows) / 1000
        made.logits = torch.full((rows, 1, 259), -20.0)
        made.logits[:, 0, self.ids[cache % len(self.ids)] if cache < self.end_after else 257] = 0.0
        return made

    def writer(self) -> Writer:
        return Writer(self.model, self.tokenizer, OPTIONS, lambda: COST, 0)

    def limit(self, ms: int | None) -> Limit:
        return limit.start(ms, clock=self)


def test_a_summary_ends_with_its_last_sentence_that_fits(tiny: Any) -> None:
    said = Said(tiny)
    made = said.writer().write(PROMPT, said.limit(None))
    assert (made.text, made.tokens, made.how, made.flagged) == ("Bees dance.", 11, "sentence", False)
    assert (made.stopped, made.written_tokens, made.profile, made.lowered) == ("tokens", 40, "two", "")
    assert made.max_tokens == 40 and made.ms == pytest.approx(200 + 39 * 4)
    assert made.expected_ms is None  # nobody is in a hurry, and nothing was measured
    asked = said.writer().write(PROMPT, said.limit(None), profile="one", max_tokens=60)
    assert (asked.text, asked.profile, asked.max_tokens) == (
        "Bees dance. They find food, and they Bees dance.",
        "one",
        60,
    )
    ended = Said(tiny, end_after=11)
    assert ended.writer().write(PROMPT, ended.limit(None)).stopped == "end"


def test_little_time_takes_a_faster_profile_and_fewer_tokens(tiny: Any) -> None:
    said = Said(tiny)
    made = said.writer().write(PROMPT, said.limit(170))
    assert (made.profile, made.lowered) == ("one", "two needs 356 ms; 33 of 40 tokens")
    assert (made.text, made.stopped) == ("Bees dance.", "tokens")
    assert made.ms <= 170


def test_a_machine_that_is_slower_than_planned_is_stopped_in_time(tiny: Any) -> None:
    said = Said(tiny, ms=4.0)
    made = said.writer().write(PROMPT, said.limit(185))
    assert (made.stopped, made.text) == ("time", "Bees dance.")
    assert made.written_tokens == 21 and made.ms <= 185 - ENDING_MS


def test_what_was_spent_before_counts(tiny: Any) -> None:
    said = Said(tiny)
    asked = said.limit(400)
    said.seconds += 0.2
    made = said.writer().write(PROMPT, asked)
    assert made.profile == "one" and 200 < made.ms <= 400
    late = said.limit(400)
    said.seconds += 0.35
    with pytest.raises(BudgetError, match="400 ms are too few for 2 tokens of summary: about 458 are needed"):
        said.writer().write(PROMPT, late)


@pytest.mark.parametrize("ms", [0, 1])
def test_no_time_is_an_error_and_not_a_hang(ms: int, tiny: Any) -> None:
    said = Said(tiny)
    with pytest.raises(BudgetError, match=f"^{ms} ms are too few for 2 tokens of summary: about 107 are needed"):
        said.writer().write(PROMPT, said.limit(ms))
    with pytest.raises(BudgetError, match=f"^{ms} ms are too few"):
        said.writer().stream(PROMPT, limit.start(ms))
    with pytest.raises(BudgetError, match="does not hold one word"):
        said.writer().write(PROMPT, said.limit(None), max_tokens=1)


def test_the_stream_is_what_is_written_before_it_is_cut(tiny: Any) -> None:
    said = Said(tiny)
    pieces, written = said.writer().stream(PROMPT, said.limit(None), profile="one"), []
    while True:
        try:
            written.append(next(pieces))
        except StopIteration as stop:
            made = stop.value
            break
    assert "".join(written) == (WORDS * 2)[:40] and len(written) > 20
    assert isinstance(made, Written)
    again = said.writer().write(PROMPT, said.limit(None), profile="one")
    assert replace(made, ms=0.0) == replace(again, ms=0.0)


def test_a_request_that_is_cancelled_says_so(tiny: Any) -> None:
    said = Said(tiny)
    asked = limit.start(None, lambda: said.seconds > 50.25, said)
    made = said.writer().write(PROMPT, asked)
    assert (made.stopped, made.text) == ("cancelled", "Bees dance.")


def test_the_cost_is_measured_once_for_what_decides_it(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path))

    def params(threads: int, precision: Any = "fp32") -> config.Params:
        sections: dict[str, config.Options] = {
            "runtime": config.Runtime(seed=0, threads=threads),
            "compute": compute.Options(precision=precision, quantisation="none"),
            "prompt": prompts.Options(style="plain", max_tokens=64, max_summary_tokens=8),
            "budget": OPTIONS,
        }
        return config.Params(MappingProxyType({}), sections)

    monkeypatch.setattr(calibrate, "BUSY", math.inf)  # whatever runs beside this test
    writer = budgeted.writer(params(1), tiny.model(), tiny.tokenizer, None, tiny.record)
    assert sorted(writer.cost.read_ms) == [16, 21, 64]
    assert {name: sorted(pace.step_ms) for name, pace in writer.cost.paces.items()} == {"one": [1, 2], "two": [1, 2]}
    assert budgeted.measured(params(1), None, tiny.tokenizer, None, tiny.record) == writer.cost  # no model is asked
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    known = budgeted.measured(params(1), tiny.model(), tiny.tokenizer, adapter, tiny.record)
    assert budgeted.measured(params(1), None, tiny.tokenizer, adapter, tiny.record) == known
    (adapter / "pruned.json").write_text("{}")  # the same adapter, on fewer layers
    with pytest.raises(AttributeError):
        budgeted.measured(params(1), None, tiny.tokenizer, adapter, tiny.record)
    for other in (params(2), params(1, "bf16")):
        with pytest.raises(AttributeError):
            budgeted.measured(other, None, tiny.tokenizer, None, tiny.record)
