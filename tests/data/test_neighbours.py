"""Blockwise best-k equals sorting the whole matrix, whatever the blocks and however many scores are equal."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from breviary.data import neighbours

GROWTH = """
import psutil, torch
from breviary.data import neighbours
left, right, seen = torch.randn(6640, 8), torch.randn(100_000, 8), []
score = neighbours.inner(left, right)
def block(start, end):
    seen.append(psutil.Process().memory_info().rss >> 20)
    return score(start, end)
neighbours.best(block, len(left), len(right), 64)
print(len(seen), max(seen[40:]) - max(seen[:40]))
"""


@given(
    st.integers(1, 9).flatmap(
        lambda rows: st.integers(1, 9).flatmap(
            lambda columns: st.lists(
                st.lists(st.integers(-2, 2), min_size=columns, max_size=columns), min_size=rows, max_size=rows
            )
        )
    ),
    st.integers(1, 12),
    st.integers(1, 4),
)
def test_best_equals_sorting_the_whole_matrix_ties_to_the_lower_index(values: list[list[int]], k: int, size: int):
    whole = torch.tensor(values, dtype=torch.float32)
    found = neighbours.best(lambda start, end: whole[start:end], len(values), len(values[0]), k, size)
    for row, line in enumerate(values):
        expected = sorted(range(len(line)), key=lambda column: (-line[column], column))[:k]
        assert found.row_columns[row].tolist() == expected
        assert found.row_scores[row].tolist() == [line[column] for column in expected]
    for column in range(len(values[0])):
        expected = sorted(range(len(values)), key=lambda row: (-values[row][column], row))[:k]
        assert found.column_rows[column].tolist() == expected
        assert found.column_scores[column].tolist() == [values[row][column] for row in expected]


def test_best_of_cosines_equals_the_plain_product():
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(70, 8, generator=generator), torch.randn(50, 8, generator=generator)
    found = neighbours.best(lambda start, end: left[start:end] @ right.T, 70, 50, 5, size=16)
    expected = (left @ right.T).topk(5)
    assert torch.equal(found.row_columns, expected.indices)
    torch.testing.assert_close(found.row_scores, expected.values)
    torch.testing.assert_close(found.column_scores, (right @ left.T).topk(5).values)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8), st.integers(1, 9), st.integers(0, 2**16))
def test_the_size_of_the_blocks_changes_nothing(rows: int, columns: int, k: int, size: int, seed: int):
    whole = torch.randint(0, 6, (rows, columns), generator=torch.Generator().manual_seed(seed)).float()
    expected = neighbours.best(lambda start, end: whole[start:end], rows, columns, k, rows)
    found = neighbours.best(lambda start, end: whole[start:end], rows, columns, k, size)
    for name in ("row_scores", "row_columns", "column_scores", "column_rows"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_no_block_is_larger_than_said(monkeypatch: pytest.MonkeyPatch):
    seen: list[int] = []

    def block(start: int, end: int) -> torch.Tensor:
        seen.append((end - start) * 30)
        return torch.zeros(end - start, 30)

    monkeypatch.setattr(neighbours, "ENTRIES", 100)
    neighbours.best(block, 7, 30, 1)
    assert seen == [90, 90, 30]


@pytest.mark.slow
def test_memory_does_not_grow_from_block_to_block():
    """What is kept of each block, 0.1 MB, once made the allocator put every block of 32 MB behind the last."""
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True)
    blocks, growth = map(int, done.stdout.split())
    assert blocks == 80
    assert growth < 64, "MiB in 40 blocks"


def test_entries_are_ranked_by_owner_score_and_label():
    owners, labels = torch.tensor([1, 0, 1, 1, 0]), torch.tensor([5, 9, 3, 4, 2])
    scores = torch.tensor([0.5, 0.1, 0.5, 0.9, 0.3])
    assert neighbours.ranked(owners, scores, labels, 2).tolist() == [4, 1, 3, 2]
    assert neighbours.ranked(owners, scores, labels, 1).tolist() == [4, 3]
