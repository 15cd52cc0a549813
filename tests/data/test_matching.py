"""Margins and document scores equal their formulas."""

import torch
from scipy.sparse import csr_matrix

from breviary.data import matching, neighbours


def unit(*rows: list[float]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


def side(owners: list[int], vectors: torch.Tensor, terms: object = None) -> matching.Passages:
    return matching.Passages(torch.tensor(owners), vectors, terms)


def test_margins_are_the_ratio_to_the_mean_of_both_neighbourhoods():
    whole = torch.tensor([[0.9, 0.5, 0.1], [0.6, 0.8, 0.3]])
    by_row, by_column = matching.margins(neighbours.best(lambda start, end: whole[start:end], 2, 3, 2))
    # row 0 keeps .9 .5 (mean .7); columns keep .9 .6, .8 .5, .3 .1 (means .75, .65, .2)
    torch.testing.assert_close(by_row[0], torch.tensor([0.9 / 0.725, 0.5 / 0.675]))
    torch.testing.assert_close(by_column[2], torch.tensor([0.3 / 0.45, 0.1 / 0.45]))


def test_a_hub_has_a_lower_margin_than_its_cosine_suggests():
    """Column 0 is near every row; by cosine it wins row 0, by margin the column that is near row 0 alone does."""
    whole = torch.tensor([[0.80, 0.78], [0.85, 0.10], [0.85, 0.10]])
    found = neighbours.best(lambda start, end: whole[start:end], 3, 2, 3)
    assert found.row_columns[0].tolist() == [0, 1]
    assert matching.rank(matching.margins(found)[0], found.row_columns)[0].tolist() == [1, 0]


def test_rank_settles_ties_by_the_lower_label():
    ranked = matching.rank(torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([[0, 7, 3]]))
    assert ranked.tolist() == [[3, 7, 0]]


def test_coverage_is_the_mean_of_both_directions_of_best_passages():
    left = side([0, 0, 1], unit([1.0, 0.0], [0.0, 1.0], [1.0, 1.0]))
    right = side([0, 1, 1], unit([1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]))
    score = left.vectors @ right.vectors.T
    expected = torch.empty(2, 2)
    for x in range(2):
        for y in range(2):
            part = score[left.owners == x][:, right.owners == y]
            expected[x, y] = (part.max(1).values.mean() + part.max(0).values.mean()) / 2
    block = matching.coverage(left, right, share=0.0)
    torch.testing.assert_close(torch.cat([block(0, 1), block(1, 2)]), expected)
    torch.testing.assert_close(block(0, 2), expected)


def test_the_lexical_part_counts_by_its_share():
    terms = csr_matrix([[1.0, 0.0], [0.0, 1.0]])
    left = side([0], unit([1.0, 0.0]), terms[:1])
    right = side([0, 1], unit([1.0, 0.0], [0.0, 1.0]), terms[[1, 0]])
    torch.testing.assert_close(matching.coverage(left, right, 0.25)(0, 1), torch.tensor([[0.75, 0.25]]))


def test_embed_mixes_half_of_the_title_in():
    vectors, titles = unit([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]), unit([0.0, 0.0, 1.0])
    found = matching.embed(vectors, titles, torch.tensor([0, 0]))
    torch.testing.assert_close(found, unit([2.0, 0.0, 1.0], [0.0, 2.0, 1.0]))


def test_identifiers_are_the_same_terms_with_and_without_a_space():
    rows = matching.lexical(["BIP39 seeds", "a talk on BIP 39", "bread"], ["BIP39 seeds", "bip 39 talk", "bread"])
    likeness = (rows @ rows.T).toarray()
    assert likeness[0, 1] > 0.3
    assert likeness[0, 2] == 0


def test_text_without_any_term_has_no_lexical_part():
    assert matching.lexical(["the of"], ["the of"]) is None


def test_near_duplicates_keep_the_first_and_name_it():
    vectors = unit([1.0, 0.0], [0.0, 1.0], [1.0, 0.001], [1.0, 0.3], [0.0, 1.0])
    for size in (1, 2, 256):
        found = matching.near_duplicates(side([0, 1, 2, 3, 4], vectors), 0.99, 0.5, size)
        assert {gone: kept for gone, (kept, _) in found.items()} == {2: 0, 4: 1}


def test_near_duplicates_need_the_same_words_where_there_are_words():
    vectors = unit([1.0, 0.0], [1.0, 0.0], [1.0, 0.0])
    terms = csr_matrix([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert set(matching.near_duplicates(side([0, 1, 2], vectors, terms), 0.9, 0.5)) == {2}


def test_a_subset_is_numbered_from_zero():
    terms = csr_matrix([[1.0], [2.0], [3.0], [4.0]])
    found = matching.subset(side([0, 1, 1, 2], torch.eye(4), terms), [1, 2])
    assert found.owners.tolist() == [0, 0, 1]
    assert torch.equal(found.vectors, torch.eye(4)[1:])
    assert found.terms.toarray().tolist() == [[2.0], [3.0], [4.0]]
    assert found.documents == 2
    assert found.begins.tolist() == [0, 2, 3]
    assert matching.subset(found, []).documents == 0


def test_blocks_take_more_documents_where_these_have_fewer_passages():
    few, many = side([0, 1, 2, 3], torch.eye(4)), side([0] * 2000 + [1] * 2000, torch.ones(4000, 4))
    assert matching.block_size(few, few) == 4 * neighbours.ENTRIES // 16
    assert matching.block_size(many, many) == 1


def test_the_closest_passages_are_named_ties_to_the_first():
    left = side([0, 0, 1], unit([1.0, 0.0], [0.0, 1.0], [1.0, 0.0]))
    right = side([0, 0], unit([0.0, 1.0], [0.0, 1.0]))
    assert matching.closest(left, right, 0, 0) == (1, 0)
