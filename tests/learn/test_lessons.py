"""Lessons as rows: what their source supports counts, and related passages come and go by a seeded draw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.errors import DataError
from breviary.learn import lessons
from breviary.learn.lessons import Lesson


def lesson(number: int, support: float = 1.0, targets: int = 2) -> Lesson:
    return Lesson(f"c{number}", "d", seen=[number, 7, 7], alone=[number], target=[5] * targets, support=support)


@given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(1, 20)), min_size=1, max_size=8))
def test_targets_count_one_on_average(plan: list[tuple[float, int]]) -> None:
    learnt = [lesson(number, *each) for number, each in enumerate(plan)]
    rows = lessons.rows(learnt)
    mean = sum(row.weight * len(row.target) for row in rows) / sum(len(row.target) for row in rows)
    assert mean == pytest.approx(1)
    assert rows[0].weight / learnt[0].support == pytest.approx(rows[-1].weight / learnt[-1].support)


def test_equal_support_is_no_weight() -> None:
    assert {row.weight for row in lessons.rows([lesson(n, 0.3) for n in range(3)])} == {1.0}


def test_texts_that_nothing_supports_are_refused() -> None:
    with pytest.raises(DataError, match="of 2 summaries by the teacher, none has one word of its source"):
        lessons.rows([lesson(1, 0.0), lesson(2, 0.0)])


def test_related_passages_are_dropped_by_example_and_epoch_alone() -> None:
    learnt = [lesson(number) for number in range(200)]
    rows = lessons.rows(learnt)
    shown, again = lessons.dropped(learnt, 0.25, 3), lessons.dropped(learnt[::-1], 0.25, 3)
    alone = [[len(shown(row, epoch).prompt) == 1 for row in rows] for epoch in range(2)]
    assert alone[0] != alone[1] and all(30 < sum(each) < 70 for each in alone)
    assert alone[1] == [len(again(row, 1).prompt) == 1 for row in rows]
    assert alone[0] != [len(lessons.dropped(learnt, 0.25, 4)(row, 0).prompt) == 1 for row in rows]


@pytest.mark.parametrize(("share", "length"), [(0.0, 3), (1.0, 1)])
def test_never_and_always(share: float, length: int) -> None:
    shown = lessons.dropped([lesson(1)], share, 0)
    assert {len(shown(lessons.rows([lesson(1)])[0], epoch).prompt) for epoch in range(9)} == {length}
