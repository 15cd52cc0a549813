"""How many calls a text takes, which is what a plan shares its time among."""

from collections.abc import Iterator
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
from breviary.summarise.levels import AT_ONCE, Asked

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


def planned(levels: list[int], mode: Any, monkeypatch: pytest.MonkeyPatch, tokens: int = 8000) -> list[list[int]]:
    """How many texts each call has that is planned for, plan after plan, of a text of so many tokens whose levels turn
    out to have so many passages."""
    found = list[list[int]]()

    def plan_calls(asked: list[Any], *_: Any) -> Any:
        found.append([call.prompts for call in asked])
        return SimpleNamespace(profile="fast", lowered="", calls=[Mock(spec=budget.Planned)])

    def written(self: calls.Calls, texts: Any, plan: Any) -> Any:
        return [SimpleNamespace(finished=True)] * len(texts)
        yield

    writer, reader = Mock(spec=Writer), Mock(spec=longform.Summariser)
    writer.options, writer.plan_calls = SimpleNamespace(batch_size=4, profiles={"best": None, "fast": None}), plan_calls
    reader.options, reader.read = OPTIONS, lambda made: "a"
    reader.prompter = SimpleNamespace(room=288, max_summary_tokens=144, longest=300)
    monkeypatch.setattr(calls.Calls, "_written", written)
    made = calls.Calls(writer, reader, calls.Request(mode=mode), limit.start(), most=60, tokens=tokens)
    for level in levels:
        for asked in parts(level):
            for _ in made.read(asked):
                pass
    return found


def parts(level: int) -> Iterator[Asked]:
    """A level of so many passages, as they are asked for."""
    for at in range(0, level, AT_ONCE):
        yield Asked(["text"] * min(AT_ONCE, level - at), level == 1, at + AT_ONCE < level)


def test_the_summary_keeps_all_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer levels than there might have been, of fewer passages: what was not needed is not planned for any more."""
    found = planned([20, 9, 3, 1], "map_reduce", monkeypatch)
    assert len(found) == 5 + 3 + 1 + 1
    assert found[-1] == [1]
    assert all(len(after) < len(before) for before, after in pairwise(found))


@pytest.mark.parametrize("level", [AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + 88])
@pytest.mark.parametrize("tokens", [8000, 200_000])  # far fewer passages than there turn out to be, and far more
def test_a_level_that_is_asked_for_in_parts_is_one_level(level, tokens, monkeypatch):
    """Its last passage is no summary, and what comes after it is planned for all along."""
    found = planned([level, 1], "map_reduce", monkeypatch, tokens)
    asked = [plan[0] for plan in found]
    assert sum(asked) == level + 1
    assert all(len(plan) > 1 and plan[-1] == 1 for plan in found[:-1])
    of_level = calls.shrinking(level, 288, 144, OPTIONS)[1:]
    last = found[-2]  # of the level: the passages of the others are as many as its own make
    assert sum(last) == last[0] + sum(of_level)


def test_refine_plans_for_every_passage_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned([1] * 56, "refine", monkeypatch) == [[1] * left for left in range(56, 0, -1)]


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
