"""The k best of each row and of each column of a matrix of scores that is never there as a whole.

Rows come in blocks. A block of r rows gives the best of these rows at once; of each column only the k best so far are
kept, and what does not beat the last of them is not looked at again. Memory grows with rows + columns, never with their
product; time with the product, nearly all of it in making the scores.

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
    of_rows = []
    of_columns = Columns(columns, min(k, rows))
    size = size or max(1, ENTRIES // columns)
    for start in range(0, rows, size):
        found = block(start, min(start + size, rows))
        of_rows.append(first(found, min(k, columns)))
        of_columns.add(found, start)
    scores, labels = (torch.cat(each) for each in zip(*of_rows, strict=True))
    return Best(scores, labels, of_columns.scores, of_columns.rows)


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
    """The k best rows of each column so far; `add` takes blocks in the order of their rows."""

    def __init__(self, columns: int, k: int) -> None:
        self.scores = torch.full((columns, k), -torch.inf)
        self.rows = torch.zeros(columns, k, dtype=torch.int64)
        self._seen = 0

    def add(self, found: Float[Tensor, "rows columns"], start: int) -> None:
        """Take in the scores of the rows from `start` on. A later row must be better, not as good, to displace."""
        k = self.scores.shape[1]
        if self._seen < k:  # there are free places in every column
            here = torch.arange(start, start + len(found)).expand(len(self.scores), -1)
            scores = torch.cat([self.scores[:, : self._seen], found.T], 1)
            rows = torch.cat([self.rows[:, : self._seen], here], 1)
            self._seen = min(k, scores.shape[1])
            values, places = first(scores, self._seen)
            self.scores[:, : self._seen], self.rows[:, : self._seen] = values, rows.gather(1, places)
        else:
            rows, columns = (found > self.scores[:, -1]).nonzero(as_tuple=True)
            self._displace(columns, found[rows, columns], rows + start)

    def _displace(self, columns: Int[Tensor, " hits"], scores: Float[Tensor, " hits"], rows: Int[Tensor, " hits"]):
        touched = columns.unique()
        k = self.scores.shape[1]
        columns = torch.cat([touched.repeat_interleave(k), columns])
        scores = torch.cat([self.scores[touched].flatten(), scores])
        rows = torch.cat([self.rows[touched].flatten(), rows])
        kept = ranked(columns, scores, rows, k)
        self.scores[touched] = scores[kept].view(-1, k)
        self.rows[touched] = rows[kept].view(-1, k)


def ranked(
    owners: Int[Tensor, " entries"], scores: Float[Tensor, " entries"], labels: Int[Tensor, " entries"], k: int
) -> Int[Tensor, " kept"]:
    """Where the `k` best entries of each owner are, owner after owner, best first; equal scores by lower label."""
    order = labels.argsort(stable=True)
    order = order[scores[order].argsort(descending=True, stable=True)]
    order = order[owners[order].argsort(stable=True)]
    owners = owners[order]
    begins = torch.searchsorted(owners, owners)
    return order[torch.arange(len(order)) - begins < k]
