"""A shortlist keeps the partners that matter, and FAISS finds the same one as torch."""

import importlib.util
import warnings

import pytest
import torch
from scipy.sparse import csr_matrix, hstack, random
from sklearn.preprocessing import normalize

from breviary.data import matching, neighbours, shortlist
from breviary.errors import ConfigError


def side(seed: int, documents: int, passages: int = 1, words: bool = True) -> matching.Passages:
    """Documents of so many passages each; number n of one seed is about what number n of another is about."""
    generator = torch.Generator().manual_seed(seed)
    subjects = torch.randn(documents, 24, generator=torch.Generator().manual_seed(99))
    owners = torch.arange(documents).repeat_interleave(passages)
    noise = 0.5 * torch.randn(len(owners), 24, generator=generator)
    vectors = torch.nn.functional.normalize(subjects[owners] + noise, dim=-1)
    if not words:
        return matching.Passages(owners, vectors, None)
    starts = range(len(owners) + 1)
    own = csr_matrix((torch.ones(len(owners)).numpy(), owners.numpy(), starts), shape=(len(owners), 200))
    other = random(len(owners), 50, density=0.1, format="csr", random_state=seed)
    return matching.Passages(owners, vectors, normalize(hstack([own, other]).tocsr()))


def exhaustive(left: matching.Passages, right: matching.Passages, share: float, k: int) -> matching.Best:
    return neighbours.best(matching.coverage(left, right, share), left.documents, right.documents, k)


def same(found: matching.Best, expected: matching.Best) -> None:
    assert torch.equal(found.row_columns, expected.row_columns)
    assert torch.equal(found.column_rows, expected.column_rows)
    torch.testing.assert_close(found.row_scores, expected.row_scores)
    torch.testing.assert_close(found.column_scores, expected.column_scores)


def test_a_shortlist_of_everything_is_everything():
    left, right = side(1, 9, 3), side(2, 7, 2)
    pairs = shortlist.candidates(left, right, 9, "torch")
    assert pairs.tolist() == [[row, column] for row in range(9) for column in range(7)]
    same(shortlist.best(left, right, pairs, 0.6, 4), exhaustive(left, right, 0.6, 4))


def test_of_one_passage_each_and_no_words_the_shortlist_loses_nothing():
    left, right = side(1, 60, words=False), side(2, 45, words=False)
    pairs = shortlist.candidates(left, right, 5, "torch")
    assert len(pairs) <= 60 * 5 + 45 * 5
    same(shortlist.best(left, right, pairs, 0.9, 5), exhaustive(left, right, 0.9, 5))


def test_the_best_partner_is_on_a_list_that_is_far_shorter_than_all_pairs():
    left, right = side(1, 80, 3), side(2, 80, 2)
    pairs = shortlist.candidates(left, right, 4, "torch")
    assert len(pairs) < 80 * 80 / 4
    found, expected = shortlist.best(left, right, pairs, 0.9, 4), exhaustive(left, right, 0.9, 4)
    assert torch.equal(found.row_columns[:, 0], expected.row_columns[:, 0])
    assert torch.equal(found.column_rows[:, 0], expected.column_rows[:, 0])


def test_what_words_alone_say_is_on_the_list():
    """The embeddings say nothing; one term is shared by document n and document n alone."""
    terms = csr_matrix(torch.eye(30).numpy())
    flat = matching.Passages(torch.arange(30), torch.nn.functional.normalize(torch.ones(30, 4)), terms)
    pairs = {tuple(pair) for pair in shortlist.candidates(flat, flat, 2, "torch").tolist()}
    assert {(n, n) for n in range(30)} <= pairs
    assert len(pairs) < 30 * 5


def test_columns_are_gathered_in_parts_without_a_loss(monkeypatch: pytest.MonkeyPatch):
    left, right = side(1, 40, 2), side(2, 30, 2)
    pairs = shortlist.candidates(left, right, 6, "torch")
    whole = shortlist.best(left, right, pairs, 0.9, 4)
    monkeypatch.setattr(shortlist, "ENTRIES", 200)
    assert torch.equal(shortlist.candidates(left, right, 6, "torch"), pairs)
    parts = shortlist.best(left, right, pairs, 0.9, 4)
    assert torch.equal(parts.column_rows, whole.column_rows)
    assert torch.equal(parts.column_scores, whole.column_scores)


def test_near_duplicates_are_those_that_comparing_all_finds():
    plain = side(1, 40, 2)
    kept = [*range(40), 3, 3, *[7] * 20, 39]  # more copies than each document is compared with
    doubled = matching.subset(plain, sorted(kept))
    expected = matching.near_duplicates(doubled, 0.95, 0.9)
    found = shortlist.near_duplicates(doubled, 0.95, 0.9, "torch")
    assert len(found) == 23
    assert {gone: one for gone, (one, _) in found.items()} == {gone: one for gone, (one, _) in expected.items()}


def test_faiss_finds_what_torch_finds():
    with warnings.catch_warnings():  # its SWIG types have no __module__
        warnings.simplefilter("ignore", DeprecationWarning)
        pytest.importorskip("faiss")
    for passages, words in ((1, False), (3, True)):
        left, right = side(1, 200, passages, words), side(2, 150, passages, words)
        ours, theirs = (shortlist.candidates(left, right, 7, index) for index in ("torch", "faiss"))
        assert torch.equal(ours, theirs)


def test_faiss_that_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shortlist, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"faiss is not installed; run `pip install 'breviary\[faiss\]'`, or set it"):
        shortlist.require("faiss")
    shortlist.require("torch")
    assert importlib.util.find_spec("torch")
