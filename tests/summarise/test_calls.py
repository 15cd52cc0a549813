"""How many calls a text takes at most, which is what a plan shares its time among."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.model import limit
from breviary.summarise import budget, calls, hierarchy, longform
from breviary.summarise.budgeted import Writer

OPTIONS = hierarchy.Options.model_validate(
    {
        "mode": "truncate",
        "overlap_tokens": 0,
        "keep": 0.5,
        "max_depth": 16,
        "similarity": "tfidf",
        "duplicate": 0.95,
        "parts": 4,
        "diversity": 0.3,
    }
)


def planned(levels: list[int], mode: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many calls each plan of a text of 8,000 tokens was for, whose levels turn out to have so many passages."""
    found = list[int]()

    def plan_calls(asked: list[Any], *_: Any) -> Any:
        found.append(len(asked))
        return SimpleNamespace(profile="fast", lowered="", calls=[Mock(spec=budget.Planned)])

    def written(self: calls.Calls, texts: Any, plan: Any) -> Any:
        return [SimpleNamespace(finished=True)] * len(texts)
        yield

    writer, reader = Mock(spec=Writer), Mock(spec=longform.Summariser)
    writer.options, writer.plan_calls = SimpleNamespace(batch_size=4, profiles={"best": None, "fast": None}), plan_calls
    reader.options, reader.read = OPTIONS, lambda made: "a"
    reader.prompter = SimpleNamespace(room=288, max_summary_tokens=144, longest=300)
    monkeypatch.setattr(calls.Calls, "_written", written)
    made = calls.Calls(writer, reader, calls.Request(mode=mode), limit.start(), most=60, tokens=8000)
    for level in levels:
        for _ in made.read(["text"] * level):
            pass
    return found


def test_the_summary_keeps_all_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer levels than there might have been, of fewer passages: what was not needed is not planned for any more."""
    found = planned([20, 9, 3, 1], "map_reduce", monkeypatch)
    assert len(found) == 5 + 3 + 1 + 1
    assert found[-1] == 1
    assert all(after < before for before, after in pairwise(found))


def test_refine_plans_for_every_passage_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned([1] * 56, "refine", monkeypatch) == list(range(56, 0, -1))


@pytest.mark.parametrize("mode", ["map_reduce", "refine"])
@pytest.mark.parametrize("tokens", [1, 200, 201, 5000, 100_000])
def test_rounds_are_as_many_as_there_can_be(mode, tokens):
    found = calls.rounds(tokens, 200, 40, OPTIONS, mode)
    assert found[-1] == 1
    assert found[0] >= (1 if mode == "refine" else tokens / 200)
    assert len(found) >= (1 if tokens <= 200 else 2)


@pytest.mark.parametrize("mode", ["truncate", "extract"])
def test_what_reads_a_part_is_one_call(mode):
    assert calls.rounds(100_000, 200, 40, OPTIONS, mode) == [1]


@given(st.integers(1, 2_000_000), st.integers(16, 2000), st.integers(1, 1000), st.integers(1, 64))
def test_rounds_shrink_and_end(tokens, room, note, depth):
    found = calls.rounds(tokens, room, note, OPTIONS.model_copy(update={"max_depth": depth}), "map_reduce")
    assert all(after < before for before, after in pairwise(found))
    assert 1 <= len(found) <= depth
