"""Exact shares, no silent repetition, nothing from valid or test, and the same bytes for the same seed."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary.data import mixtures
from breviary.errors import DataError
from breviary.records import Document, Pair


def options(**changes: Any) -> mixtures.Options:
    values = {
        "phase1": {"examples": 20, "shares": {"paper": 1.0}},
        "phase2": {"examples": 20, "shares": {"paper": 0.4, "replay": 0.1, "talk": 0.4, "pair": 0.1}},
        "phase3": {"examples": 20, "shares": {"paper": 0.2, "replay": 0.1, "talk": 0.6, "pair": 0.1}},
        "max_repetitions": 3,
        "reservoir": 0.25,
        **changes,
    }
    return mixtures.Options.model_validate(values)


DOCUMENTS = [
    Document(domain, f"{domain} {n}", f"text {n}", f"summary {n}") for domain in ("paper", "talk") for n in range(12)
]
SPLITS = {each.id: "train" if n % 12 < 8 else "valid" if n % 12 < 10 else "test" for n, each in enumerate(DOCUMENTS)}


def pair(n: int, split: str = "train") -> Pair:
    return Pair(DOCUMENTS[n].id, DOCUMENTS[n + 12].id, "a", "b", split, 0.8, 1.2)


PAIRS = [pair(0), pair(1), pair(2), pair(10, "test")]


def build(seed: int = 1, **changes: Any) -> mixtures.Mixtures:
    return mixtures.build(DOCUMENTS, SPLITS, PAIRS, options(**changes), seed)


def test_every_phase_has_its_exact_shares():
    built = build()
    assert Counter(each.origin for each in built.phases["phase1"]) == {"paper": 20}
    assert Counter(each.origin for each in built.phases["phase2"]) == {"paper": 8, "replay": 2, "talk": 8, "pair": 2}
    assert Counter(each.origin for each in built.phases["phase3"]) == {"paper": 4, "replay": 2, "talk": 12, "pair": 2}


def test_only_train_documents_are_trained_on_and_only_valid_ones_validate():
    built = build()
    used = {id_ for phase in built.phases.values() for each in phase for id_ in (each.document, each.partner_document)}
    assert {SPLITS[id_] for id_ in used - {""}} == {"train"}
    assert [SPLITS[each.document] for each in built.valid] == ["valid"] * 4
    assert {each.origin for each in built.valid} == {"paper", "talk"}


def test_pairs_alternate_direction_and_keep_their_partner():
    drawn = list(build(phase2={"examples": 6, "shares": {"pair": 1.0}}).phases["phase2"])
    assert Counter(each.domain for each in drawn) == {"paper": 3, "talk": 3}
    assert len({each.id for each in drawn}) == 6
    known = {each.id: each for each in DOCUMENTS}
    for each in drawn:
        assert each.partner == known[each.partner_document].text
        assert known[each.partner_document].domain != each.domain
        assert each.summary == known[each.document].summary


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_first_examples_of_a_few_pairs_alternate_too(count: int):
    drawn = build(phase2={"examples": count, "shares": {"pair": 1.0}}).phases["phase2"]
    found = Counter(each.domain for each in drawn)
    assert abs(found["paper"] - found["talk"]) <= 1
    assert len({frozenset((each.document, each.partner_document)) for each in drawn}) == min(count, 3)


def test_replay_repeats_examples_of_earlier_phases_by_their_ids():
    built = build()
    before = {each.id for each in built.phases["phase1"]}
    replayed = {each.id for each in built.phases["phase2"] if each.origin == "replay"}
    assert replayed <= set(built.reservoirs["phase1"]) <= before
    assert len(built.reservoirs["phase1"]) == 2  # a quarter of the eight papers
    assert list(built.reservoirs) == ["phase1", "phase2"]
    later = {each.id for each in built.phases["phase3"] if each.origin == "replay"}
    assert later <= set(built.reservoirs["phase2"]) <= before | {each.id for each in built.phases["phase2"]}


def test_the_same_seed_gives_the_same_mixtures_whatever_the_order_of_the_records():
    documents, pairs = random.Random(3).sample(DOCUMENTS, len(DOCUMENTS)), PAIRS[::-1]
    assert mixtures.build(documents, SPLITS, pairs, options(), 1) == build(1)
    assert build(1).phases != build(2).phases


def test_no_example_repeats_before_all_have_been_seen():
    assert set(Counter(each.id for each in build().phases["phase1"]).values()) == {2, 3}  # 20 of 8


def test_lineage_counts_what_is_there():
    rows = {(row["phase"], row["source"]): row for row in build().lineage}
    assert rows["phase1", "paper"] | {"hash": ""} == {
        "phase": "phase1", "source": "paper", "count": 20, "share": 1.0, "distinct": 8, "repetitions": 3, "hash": "",
    }  # fmt: skip
    assert rows["phase2", "replay"]["count"] == 2
    assert (
        rows["phase1", "paper"]["hash"]
        != {(row["phase"], row["source"]): row for row in build(2).lineage}["phase1", "paper"]["hash"]
    )


def test_the_table_is_aligned():
    lines = mixtures.table(build().lineage).splitlines()
    assert lines[0].split() == ["phase", "source", "count", "share", "distinct", "repetitions", "hash"]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 1 + 1 + 4 + 4


def test_documents_without_a_reference_are_not_drawn():
    bare = Document("paper", "bare", "text without a summary", " ")
    built = mixtures.build([*DOCUMENTS, bare], {**SPLITS, bare.id: "train"}, PAIRS, options(), 1)
    assert bare.id not in {each.document for each in built.phases["phase1"]}


def test_too_many_repetitions_are_refused_with_what_is_possible():
    with pytest.raises(
        DataError, match=r"mix.phase1.shares.paper: 20 examples of 8 .* 3 times.*\(2\); ask for at most 16"
    ):
        build(max_repetitions=2)


def test_an_empty_pool_is_named():
    with pytest.raises(DataError, match=r"mix.phase1.shares.news: there is no such example .*pair 6, paper 8, talk 8"):
        build(phase1={"examples": 4, "shares": {"news": 0.5, "paper": 0.5}})
    with pytest.raises(DataError, match=r"mix\.phase2\.shares\.pair: there is no such example"):
        mixtures.build(DOCUMENTS, SPLITS, PAIRS[3:], options(), 1)


def test_a_pair_that_reaches_out_of_train_is_refused():
    with pytest.raises(DataError, match="say split train, their documents do not"):
        mixtures.build(DOCUMENTS, SPLITS, [*PAIRS, pair(9)], options(), 1)


def test_a_held_out_document_is_refused_by_its_id():
    example = mixtures._example(DOCUMENTS[11])
    with pytest.raises(DataError, match=rf"phase2: documents that are not in split train: {DOCUMENTS[11].id}"):
        mixtures._refuse_held_out("phase2", [example], SPLITS)


def test_no_valid_document_is_refused():
    everything = dict.fromkeys(SPLITS, "train")
    with pytest.raises(DataError, match="no document of split valid"):
        mixtures.build(DOCUMENTS, everything, PAIRS, options(), 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"phase1": {"examples": 4, "shares": {"paper": 0.5, "talk": 0.4}}}, r"shares sum to 0.9, they must sum to 1"),
        ({"phase1": {"examples": 4, "shares": {"paper": 0.9, "replay": 0.1}}}, "no phase came before it"),
        ({"phase1": {"examples": 4, "shares": {"paper": 1.5, "talk": -0.5}}}, "shares of paper, talk must lie between"),
        ({"phase1": {"examples": 0, "shares": {"paper": 1.0}}}, "greater than or equal to 1, got 0"),
        ({"reservoir": 0.0}, "greater than 0"),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any], says: str):
    with pytest.raises(ValidationError, match=says):
        options(**changes)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any), st.integers(1, 500))
def test_counts_are_within_one_of_the_share_and_sum_to_the_total(weights: list[int], total: int):
    shares = {str(n): weight / sum(weights) for n, weight in enumerate(weights)}
    found = mixtures.counts(shares, total)
    assert sum(found.values()) == total
    assert all(abs(found[name] - shares[name] * total) < 1 for name in shares)
    assert all(found[name] == 0 for name in shares if shares[name] == 0)


def test_a_reservoir_is_a_uniform_sample():
    stream = [f"{n:02}" for n in range(20)]
    seen = Counter(id_ for seed in range(2000) for id_ in mixtures.reservoir(stream, 0.2, random.Random(seed)))
    assert sum(seen.values()) == 2000 * 4
    assert all(300 < seen[id_] < 500 for id_ in stream)  # 400 expected, standard deviation 18


def test_every_train_pair_stands_once_among_the_pairs_left_first():
    found = build().pairs
    assert {(each.document, each.partner_document) for each in found} == {
        (DOCUMENTS[n].id, DOCUMENTS[n + 12].id) for n in (0, 1, 2)
    }
    assert all((each.text, each.partner) == (f"text {n}", f"text {n}") for each in found for n in [each.text[5:]])
    assert [each.id for each in found] == [each.id for each in build(seed=2).pairs]


def test_a_pair_needs_no_summary_to_be_compared():
    bare = [
        Document(each.domain, each.title, each.text, id=each.id) if n == 0 else each for n, each in enumerate(DOCUMENTS)
    ]
    built = mixtures.build(bare, SPLITS, [pair(0), pair(1)], options(max_repetitions=20), 1)
    assert len(built.pairs) == 2
