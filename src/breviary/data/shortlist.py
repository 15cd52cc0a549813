"""Which documents are compared passage by passage, where there are too many to compare all with all.

S of `matching.py` costs (passages on the left) x (passages on the right). Above a stated size it is made for those
pairs alone of which one document is, among all of its side, to the other

    one of the c nearest by embedding     cosine of the mean passages, exact: torch, or FAISS's IndexFlatIP
    one of the c nearest by words         cosine of the 32 heaviest terms of each that both sides have

S itself stays what it is, so that a shortlist may lose a partner, who is in neither list, but never changes a score.
FAISS: Douze et al. 2024, arXiv:2401.08281.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from breviary.data import matching, neighbours
from breviary.data.matching import Passages
from breviary.data.neighbours import ENTRIES, Best
from breviary.errors import ConfigError

TERMS = 32  # of a document, by which others are looked for: what it is about, at a cost that common words would swamp
DUPLICATES = 8  # nearest documents of one side among which a near duplicate is looked for; it is nearer than most
TOGETHER = 2**16  # pairs of passages of the documents that are compared in one product

Index = Literal["torch", "faiss"]
Pairs = Int[Tensor, "_ 2"]  # (document on the left, document on the right), ascending, each once


def require(index: Index) -> None:
    """Raise ConfigError where `index` is not installed."""
    if index == "faiss" and find_spec("faiss") is None:
        raise ConfigError(
            "pairs.shortlist.index: faiss is not installed; run `pip install 'breviary[faiss]'`, or set it to torch, "
            "which finds the same pairs"
        )


def candidates(left: Passages, right: Passages, count: int, index: Index) -> Pairs:
    """The pairs of documents worth comparing: at least `count` of each document, if there are so many."""
    return union([by_embedding(left, right, count, index), by_words(left, right, count)], right.documents)


def by_embedding(left: Passages, right: Passages, count: int, index: Index) -> Pairs:
    """Each document with the `count` of the other side whose mean passage is nearest to its own."""
    search = {"torch": _by_torch, "faiss": _by_faiss}[index]
    of_left, of_right = search(matching.means(left), matching.means(right), count)
    return union([_pairs(of_left), _pairs(of_right).flip(1)], right.documents)


def by_words(left: Passages, right: Passages, count: int) -> Pairs:
    """Each document with the `count` of the other side that are nearest by their heaviest terms, if these share any."""
    if left.terms is None or right.terms is None:
        return torch.zeros(0, 2, dtype=torch.int64)
    ours, theirs = _heaviest(left, right), _heaviest(right, left)
    return union([_by_words(ours, theirs, count), _by_words(theirs, ours, count).flip(1)], right.documents)


def best(left: Passages, right: Passages, pairs: Pairs, share: float, k: int) -> Best:
    """The `k` best of each row and column of S among `pairs` alone, which are `k` or more of each document."""
    in_row, in_column = min(k, right.documents), min(k, left.documents)
    of_rows: list[tuple[Tensor, Tensor]] = []
    of_columns = pairs[:0], torch.zeros(0)  # (column, row) and score: the best of each column so far
    fresh: list[tuple[Tensor, Tensor]] = []
    for start, end, part in _blocks(left, right, pairs):
        columns, places = part[:, 1].unique(return_inverse=True)
        block = matching.coverage(matching.subset(left, range(start, end)), matching.subset(right, columns), share)
        scores = block(0, end - start)[part[:, 0] - start, places]
        kept = neighbours.ranked(part[:, 0], scores, part[:, 1], in_row)
        of_rows.append((scores[kept].view(-1, in_row), part[kept, 1].view(-1, in_row)))
        fresh.append((part.flip(1), scores))
        if sum(len(each) for each, _ in fresh) > ENTRIES // 8:
            of_columns, fresh = _columns(of_columns, fresh, in_column), []
    entries, scores = _columns(of_columns, fresh, in_column)
    row_scores, row_columns = (torch.cat(each) for each in zip(*of_rows, strict=True))
    return Best(row_scores, row_columns, scores.view(-1, in_column), entries[:, 1].view(-1, in_column))


def _blocks(left: Passages, right: Passages, pairs: Pairs) -> Iterator[tuple[int, int, Pairs]]:
    """Runs of rows start..end with their pairs, so many that comparing all of their passages costs no more than what
    it takes to ask for it (`TOGETHER`): many documents of one passage, one document of many."""
    partners = torch.bincount(pairs[:, 0], minlength=left.documents)
    ends = partners.cumsum(0).tolist()
    begins = left.begins.tolist()
    lengths = right.begins.diff()[pairs[:, 1]].cumsum(0).tolist()
    start = first = 0
    for row in range(left.documents):
        is_last = row + 1 == left.documents
        ours = begins[min(row + 2, left.documents)] - begins[start]
        theirs = lengths[ends[min(row + 1, left.documents - 1)] - 1] - (lengths[first - 1] if first else 0)
        if is_last or ours * theirs > TOGETHER:
            yield start, row + 1, pairs[first : ends[row]]
            start, first = row + 1, ends[row]


def _columns(kept: tuple[Tensor, Tensor], fresh: list[tuple[Tensor, Tensor]], k: int) -> tuple[Tensor, Tensor]:
    """The `k` best (column, row) of each column among `kept` and `fresh`, with their scores, by column."""
    entries, scores = (torch.cat(each) for each in zip(kept, *fresh, strict=True))
    best = neighbours.ranked(entries[:, 0], scores, entries[:, 1], k)
    return entries[best], scores[best]


def near_duplicates(side: Passages, threshold: float, share: float, index: Index) -> dict[int, tuple[int, float]]:
    """As `matching.near_duplicates`, looking among the nearest documents of each: {document: (kept, cosine)}.

    Until nothing more is found: of many that are alike, each sees a few of the others only.
    """
    removed: dict[int, tuple[int, float]] = {}
    while True:
        kept = [document for document in range(side.documents) if document not in removed]
        found = _near_duplicates(matching.subset(side, kept), threshold, share, index)
        if not found:
            return removed
        removed |= {kept[gone]: (kept[one], cosine) for gone, (one, cosine) in found.items()}


def _near_duplicates(side: Passages, threshold: float, share: float, index: Index) -> dict[int, tuple[int, float]]:
    pairs = candidates(side, side, min(DUPLICATES + 1, side.documents), index)  # the nearest of all is oneself
    pairs = pairs[pairs[:, 1] < pairs[:, 0]]
    vectors = matching.means(side)
    words = matching.mean_terms(side) if side.terms is not None and share > 0 else None
    removed: dict[int, tuple[int, float]] = {}
    for rows, columns in ((part[:, 0], part[:, 1]) for part in pairs.split(2**14)):
        score = (vectors[rows] * vectors[columns]).sum(1)
        if words is not None:
            lexical = torch.from_numpy(words[rows.numpy()].multiply(words[columns.numpy()]).sum(1)).flatten()
            score = (1 - share) * score + share * lexical.to(score.dtype)
        near = (score >= threshold).nonzero().flatten()
        for row, column, value in zip(rows[near].tolist(), columns[near].tolist(), score[near].tolist(), strict=True):
            if row not in removed and column not in removed:
                removed[row] = (column, value)
    return removed


def union(parts: Sequence[Pairs], columns: int) -> Pairs:
    """Ascending, each pair once."""
    places = torch.cat([pairs[:, 0] * columns + pairs[:, 1] for pairs in parts]).unique()
    return torch.stack([places // columns, places % columns], 1)


def _pairs(partners: Int[Tensor, "documents c"]) -> Pairs:
    documents, count = partners.shape
    return torch.stack([torch.arange(documents).repeat_interleave(count), partners.flatten()], 1)


def _by_torch(left: Float[Tensor, "rows width"], right: Float[Tensor, "columns width"], count: int) -> Any:
    found = neighbours.best(neighbours.inner(left, right), len(left), len(right), count)
    return found.row_columns, found.column_rows


def _by_faiss(left: Float[Tensor, "rows width"], right: Float[Tensor, "columns width"], count: int) -> Any:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())

    def search(asking: Tensor, asked: Tensor) -> Tensor:
        index: Any = faiss.IndexFlatIP(asked.shape[1])
        index.add(asked.numpy())
        _, labels = index.search(asking.numpy(), min(count, len(asked)))
        return torch.from_numpy(labels)

    return search(left, right), search(right, left)


def _heaviest(side: Passages, other: Passages) -> Any:
    """The `TERMS` heaviest terms of each document among those that `other` has too: a CSR matrix of unit rows."""
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    words = matching.mean_terms(side)
    shared = np.zeros(words.shape[1], dtype=bool)
    shared[other.terms.indices] = True
    within = shared[words.indices]
    owners = np.repeat(np.arange(words.shape[0]), np.diff(words.indptr))[within]
    terms, weights = words.indices[within], words.data[within]
    whose, how_much, which = (torch.from_numpy(each) for each in (owners, weights, terms))
    kept = neighbours.ranked(whose, how_much, which, TERMS).numpy()
    return normalize(csr_matrix((weights[kept], (owners[kept], terms[kept])), shape=words.shape))


def _by_words(ours: Any, theirs: Any, count: int) -> Pairs:
    """For each row of `ours` the `count` rows of `theirs` with the highest cosine, of those that share a term."""
    found = []
    for start, end in _runs(ours, theirs):
        score = (ours[start:end] @ theirs.T).tocoo()
        rows, columns = (torch.from_numpy(each.astype("int64")) for each in (score.row, score.col))
        kept = neighbours.ranked(rows, torch.from_numpy(score.data), columns, count)
        found.append(torch.stack([rows[kept] + start, columns[kept]], 1))
    return torch.cat(found)


def _runs(ours: Any, theirs: Any) -> Iterator[tuple[int, int]]:
    """Runs of rows of `ours` whose product with `theirs` has no more than `ENTRIES` entries, or one row."""
    import numpy as np

    holders = np.bincount(theirs.indices, minlength=theirs.shape[1])  # of each term
    most = np.concatenate([[0], np.cumsum(holders[ours.indices])])[ours.indptr]
    start = 0
    while start < ours.shape[0]:
        end = int(np.searchsorted(most, most[start] + ENTRIES, side="right")) - 1
        yield start, (end := min(max(end, start + 1), ours.shape[0]))
        start = end
