"""How many calls a text takes at most, which is what a plan shares its time among."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.summarise import calls, hierarchy

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
