"""Which documents of one side are about the same subject as which of the other, from their passages alone.

A document's title counts half in each of its passages. Two passages are compared by

    s(a, b) = (1 - w) cos(e_a, e_b) + w cos(t_a, t_b)        e: sentence embedding, t: TF-IDF of words and bigrams

which is the cosine of the two kinds of vector laid end to end; names and numbers, which an encoder blurs, count through
t. Cosines of t spread about ten times less than those of e, so that w = 0.9 gives both an equal say (docs/PAIRS.md).
Two documents are compared by how well each passage of one is covered by the best of the other, both ways:

    S(x, y) = ( mean_{a in x} max_{b in y} s(a, b)  +  mean_{b in y} max_{a in x} s(a, b) ) / 2

Hubs, documents near everything, are held down by the ratio margin (Artetxe & Schwenk 2019, arXiv:1811.01136, eq. 2):

    m(x, y) = S(x, y) / ( sum_{z in NN_k(x)} S(x, z) / 2k  +  sum_{z in NN_k(y)} S(z, y) / 2k )

Nothing here holds a full matrix of documents: it is made in blocks of rows, of which `neighbours.py` keeps the k best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from breviary.data.neighbours import ENTRIES, Best, Block

TITLE_WEIGHT = 0.5
TERM = r"(?u)[^\W\d_]{2,}|\d+"  # "BIP39" is the same two terms as "BIP 39"


@dataclass(frozen=True)
class Passages:
    """The passages of some documents: passage p belongs to document `owners[p]`; owners ascend from 0 without a gap."""

    owners: Int[Tensor, " passages"]
    vectors: Float[Tensor, "passages width"]  # unit length
    terms: Any  # scipy CSR matrix, unit rows, or None for no lexical part

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return int(self.owners[-1]) + 1 if len(self.owners) else 0

    @cached_property
    def begins(self) -> Int[Tensor, " bounds"]:
        """Where the passages of each document begin, and where the last ones end."""
        return torch.searchsorted(self.owners, torch.arange(self.documents + 1))

    def of(self, document: int) -> Int[Tensor, " passages"]:
        """The passages of one document."""
        return torch.arange(int(self.begins[document]), int(self.begins[document + 1]))


def passages(owners: Sequence[int], vectors: Sequence[Tensor], titles: Sequence[Tensor], terms: Any) -> Passages:
    """Passages from one embedding each, and one of each document's title."""
    numbers = torch.tensor(list(owners))
    return Passages(numbers, embed(torch.stack(list(vectors)), torch.stack(list(titles)), numbers), terms)


def subset(side: Passages, kept: Sequence[int] | Int[Tensor, " kept"]) -> Passages:
    """The same side with the documents `kept` (ascending) only, numbered from 0 again."""
    wanted = torch.as_tensor(kept, dtype=torch.int64)
    lengths = side.begins[wanted + 1] - side.begins[wanted]
    owners = torch.arange(len(wanted)).repeat_interleave(lengths)
    shift = side.begins[wanted] - (lengths.cumsum(0) - lengths)  # from a place among the kept to its place among all
    inside = torch.arange(len(owners)) + shift[owners]
    terms = None if side.terms is None else side.terms[inside.numpy()]
    return Passages(owners, side.vectors[inside], terms)


def embed(
    vectors: Float[Tensor, "passages width"],
    titles: Float[Tensor, "documents width"],
    owners: Int[Tensor, " passages"],
) -> Float[Tensor, "passages width"]:
    """Passage vectors with their document's title mixed in, of unit length.

    Not centred: it would raise recall@1 of some corpora (docs/PAIRS.md), but it takes scores to zero and below, where
    a ratio says nothing, and in a split of four documents the ratios explode.
    """
    return torch.nn.functional.normalize(vectors + TITLE_WEIGHT * titles[owners], dim=-1, eps=1e-6)


def lexical(passages: Sequence[str], documents: Sequence[str]) -> Any:
    """TF-IDF rows of `passages`, the rarity of each term counted over whole `documents`; None where no term is left."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english", ngram_range=(1, 2), token_pattern=TERM)
    try:
        vectorizer.fit(documents)
    except ValueError:  # "empty vocabulary": nothing but stop words, or another script
        return None
    return vectorizer.transform(passages).tocsr()


def coverage(left: Passages, right: Passages, share: float) -> Block:
    """The rows of S for the documents of `left` against those of `right`; `share` is w, the lexical part."""

    def block(start: int, end: int) -> Float[Tensor, "rows columns"]:
        inside = torch.arange(int(left.begins[start]), int(left.begins[end]))
        score = left.vectors[inside] @ right.vectors.T
        if left.terms is not None and right.terms is not None and share > 0:
            words = torch.from_numpy((left.terms[inside.numpy()] @ right.terms.T).toarray()).to(score.dtype)
            score = (1 - share) * score + share * words
        owners = left.owners[inside] - start
        forth = _mean(_highest(score.T, right.owners, right.documents).T, owners, end - start)
        back = _mean(_highest(score, owners, end - start).T, right.owners, right.documents).T
        return (forth + back) / 2

    return block


def block_size(left: Passages, right: Passages) -> int:
    """How many documents of `left` a block of S takes, so that it has some `ENTRIES` pairs of passages."""
    return max(1, ENTRIES * left.documents // (len(left.owners) * len(right.owners)))


def _highest(
    values: Float[Tensor, "passages others"], owners: Int[Tensor, " passages"], documents: int
) -> Float[Tensor, "documents others"]:
    """For each document the largest value of its passages."""
    out = torch.full((documents, values.shape[1]), -torch.inf)
    return out.scatter_reduce(0, owners[:, None].expand_as(values), values, "amax")


def _mean(
    values: Float[Tensor, "passages others"], owners: Int[Tensor, " passages"], documents: int
) -> Float[Tensor, "documents others"]:
    """For each document the mean value of its passages."""
    total = torch.zeros(documents, values.shape[1]).index_add_(0, owners, values)
    return total / torch.bincount(owners, minlength=documents)[:, None]


def margins(found: Best) -> tuple[Float[Tensor, "rows kr"], Float[Tensor, "columns kc"]]:
    """The ratio margin of every entry of `found`, by row and by column."""
    row_mean, column_mean = found.row_scores.mean(1), found.column_scores.mean(1)
    by_row = (row_mean[:, None] + column_mean[found.row_columns]) / 2
    by_column = (column_mean[:, None] + row_mean[found.column_rows]) / 2
    return found.row_scores / by_row.clamp_min(1e-6), found.column_scores / by_column.clamp_min(1e-6)


def rank(scores: Float[Tensor, "rows k"], labels: Int[Tensor, "rows k"]) -> Int[Tensor, "rows k"]:
    """Each row's labels by score, best first; equal scores by lower label."""
    by_label, order = labels.sort(dim=1, stable=True)
    return by_label.gather(1, scores.gather(1, order).sort(dim=1, descending=True, stable=True).indices)


def means(side: Passages) -> Float[Tensor, "documents width"]:
    """The mean passage of each document, of unit length."""
    return torch.nn.functional.normalize(_mean(side.vectors, side.owners, side.documents), dim=-1, eps=1e-6)


def mean_terms(side: Passages) -> Any:
    """The same of the TF-IDF rows: a CSR matrix."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    owners = side.owners.numpy()
    sums = csr_matrix(([1.0] * len(owners), (owners, range(len(owners)))), shape=(side.documents, len(owners)))
    return csr_matrix(normalize(sums @ side.terms))


def near_duplicates(
    side: Passages, threshold: float, share: float, size: int | None = None
) -> dict[int, tuple[int, float]]:
    """Documents whose mean passage is within `threshold` of an earlier kept one: {document: (kept, cosine)}."""
    vectors = means(side)
    words = mean_terms(side) if side.terms is not None and share > 0 else None
    removed: dict[int, tuple[int, float]] = {}
    size = size or max(1, ENTRIES // max(1, side.documents))
    for start in range(0, side.documents, size):
        end = min(start + size, side.documents)
        score = vectors[start:end] @ vectors[:end].T
        if words is not None:
            lexical_part = torch.from_numpy((words[start:end] @ words[:end].T).toarray()).to(score.dtype)
            score = (1 - share) * score + share * lexical_part
        near: Bool[Tensor, "rows columns"] = score >= threshold
        for row, column in near.tril(start - 1).nonzero().tolist():
            if start + row not in removed and column not in removed:
                removed[start + row] = (column, float(score[row, column]))
    return removed


def closest(left: Passages, right: Passages, row: int, column: int) -> tuple[int, int]:
    """The passages (p of `left`, q of `right`) of two documents whose embeddings are nearest; ties to the first."""
    ours, theirs = left.of(row), right.of(column)
    score = left.vectors[ours] @ right.vectors[theirs].T
    place = int(score.flatten().sort(descending=True, stable=True).indices[0])
    return int(ours[place // len(theirs)]), int(theirs[place % len(theirs)])
