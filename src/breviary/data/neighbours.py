"""The k best of each row and of each column of a matrix of scores that is never there as a whole.

Rows come in blocks. A block of r rows gives the best of these rows at once; of each column only the k best so far are
kept, and what does not beat the last of them is not looked at again. Memory grows with rows + columns, never with their
product; time with the product, nearly all of it in making the scores. What is kept has its place at once: put down
piece by piece it would lie between the blocks, and the allocator could not use the room of one for the next.

Equal scores go by the lower index, so that the result does not depend on the size of the blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

ENTRIES = 2**23  # of one block of scores: 32 MB in fp32, in which sorting and comparing stay near the processor

Block = Callable[[int, int], Tensor]  # rows start..end of a score matrix: Float[Tensor, "rows columns"]


@dataclass(frozen=True)
class Best:
    """The k best of each row and of each column of a score matrix, best first; equal scores by lower index."""

    row_scores: Float[Tensor, "rows kr"]
    row_columns: Int[Tensor, "rows kr"]
    column_scores: Float[Tensor, "columns kc"]
    column_rows: Int[Tensor, "columns kc"]


def best(block: Block, rows: int, columns: int, k: int, size: int | None = None) -> Best:
    """The `k` best of each row and column, reading `size` rows at a time (None: as many as make `ENTRIES` scores)."""
    size = min(rows, size or max(1, ENTRIES // columns))
    in_row = min(k, columns)
    scores, labels = torch.zeros(rows, in_row), torch.zeros(rows, in_row, dtype=torch.int64)
    of_columns = Columns(columns, min(k, rows), size)
    for start in range(0, rows, size):
        found = block(start, min(start + size, rows))
        scores[start : start + size], labels[start : start + size] = first(found, in_row)
        of_columns.add(found, start)
    return Best(scores, labels, *of_columns.done())


def inner(left: Float[Tensor, "rows width"], right: Float[Tensor, "columns width"]) -> Block:
    """The blocks of the matrix of inner products, which of unit vectors are cosines."""
    return lambda start, end: left[start:end] @ right.T


def first(scores: Float[Tensor, "rows columns"], k: int) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    """The `k` highest of each row, best first, and their columns; equal scores by lower column.

    `topk` is many times faster than a sort but picks among equals as it likes: rows in which the last place is shared
    are sorted.
    """
    if k == scores.shape[1]:
        return _sorted(scores, k)
    values, columns = scores.topk(k + 1)
    shared = values[:, k - 1] == values[:, k]
    columns, by_column = columns[:, :k].sort(dim=1)
    values, order = values[:, :k].gather(1, by_column).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    if bool(shared.any()):
        values[shared], columns[shared] = _sorted(scores[shared], k)
    return values, columns


def _sorted(scores: Float[Tensor, "rows columns"], k: int) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    values, columns = scores.sort(dim=1, descending=True, stable=True)
    return values[:, :k].clone(), columns[:, :k].clone()


class Columns:
    """The k best rows of each column so far; `add` takes blocks in the order of their rows, `done` gives the result.

    What beats the last of a column's k best is put down behind them, and sorted in when the room is used up.
    """

    def __init__(self, columns: int, k: int, size: int) -> None:
        width = k + max(size, 2 * k)
        self._k = k
        self._scores = torch.full((columns, width), -torch.inf)
        self._rows = torch.zeros(columns, width, dtype=torch.int64)
        self._filled = torch.zeros(columns, dtype=torch.int64)
        self._least = torch.full((columns,), -torch.inf)  # what must be beaten: the k-th best when last sorted

    def add(self, found: Float[Tensor, "rows columns"], start: int) -> None:
        """Take in the scores of the rows from `start` on, at most `size` of them."""
        rows, columns, counts = self._better(found)
        if int((self._filled + counts).max()) > self._scores.shape[1]:
            self._settle()
            rows, columns, counts = self._better(found)
        places = self._filled[columns] + _turns(columns)
        self._scores[columns, places] = found[rows, columns]
        self._rows[columns, places] = rows + start
        self._filled += counts

    def done(self) -> tuple[Float[Tensor, "columns k"], Int[Tensor, "columns k"]]:
        """The scores and rows of the best of each column, best first; equal scores by lower row."""
        self._settle()
        return self._scores[:, : self._k].clone(), self._rows[:, : self._k].clone()

    def _better(
        self, found: Float[Tensor, "rows columns"]
    ) -> tuple[Int[Tensor, " hits"], Int[Tensor, " hits"], Int[Tensor, " columns"]]:
        """Rows and columns of what may be among the best, column by column, and how many there are in each.

        A later row must be better, not as good, to displace an earlier one.
        """
        rows, columns = (found > self._least).nonzero(as_tuple=True)
        columns, order = columns.sort(stable=True)
        return rows[order], columns, torch.bincount(columns, minlength=found.shape[1])

    def _settle(self) -> None:
        scores, places = first(self._scores, self._k)
        self._rows[:, : self._k] = self._rows.gather(1, places)
        self._scores[:, : self._k], self._scores[:, self._k :] = scores, -torch.inf
        self._filled.clamp_(max=self._k)
        self._least = scores[:, -1]


def ranked(
    owners: Int[Tensor, " entries"], scores: Float[Tensor, " entries"], labels: Int[Tensor, " entries"], k: int
) -> Int[Tensor, " kept"]:
    """Where the `k` best entries of each owner are, owner after owner, best first; equal scores by lower label."""
    order = labels.argsort(stable=True)
    order = order[scores[order].argsort(descending=True, stable=True)]
    order = order[owners[order].argsort(stable=True)]
    return order[_turns(owners[order]) < k]


def _turns(owners: Int[Tensor, " entries"]) -> Int[Tensor, " entries"]:
    """How many entries of the same owner stand before each, where owners ascend."""
    return torch.arange(len(owners)) - torch.searchsorted(owners, owners)
