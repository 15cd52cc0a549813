"""What the teacher reads: train passages alone, never the reference, never the passage itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breviary.data.chunks import SPLITS
from breviary.errors import DataError
from breviary.records import Chunk, Document
from breviary.summarise import retrieval, retrieved

REFERENCE = "Sorted runs make the merge fast on old disks. It ends."
WORDS = ["merge", "disk", "run", "sort", "page", "tree", "leaf", "cache"]


def corpus(plan: list[tuple[str, list[list[str]]]]) -> tuple[list[Chunk], list[Document]]:
    """One document for each (split, texts of its chunks), of two domains in turn."""
    documents, chunks = [], []
    for number, (split, texts) in enumerate(plan):
        domain = ("paper", "talk")[number % 2]
        document = Document(domain, f"t{number}", f"text {number}", REFERENCE)
        documents.append(document)
        for index, words in enumerate(texts):
            start = 100 * index
            chunks.append(
                Chunk(document.id, domain, split, index, start, start + 9, 3, " ".join([*words, f"n{number}"]))
            )
    return chunks, documents


TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4), min_size=1, max_size=4)
PLANS = st.lists(st.tuples(st.sampled_from(SPLITS), TEXTS), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(PLANS, st.integers(1, 4), st.booleans(), st.integers(0, 9))
def test_nothing_is_read_that_is_not_of_train(
    plan: list[tuple[str, list[list[str]]]], k: int, across: bool, seed: int
) -> None:
    chunks, documents = corpus([("train", [["merge", "disk"], ["disk"]]), *plan])
    train = [chunk for chunk in chunks if chunk.split == "train"]
    chosen, usable = retrieved.choose(chunks, documents, max(1, len(train) // 2), seed)
    found = retrieved.beside(chosen, usable, k, retrieval.bm25, across=across)
    assert [each.chunk for each in found] == chosen
    for each in found:
        assert len(each.related) <= k and each.chunk.split == "train"
        assert all(other.split == "train" and other.id != each.chunk.id for other in each.related)
        assert across or all(other.document == each.chunk.document for other in each.related)


def test_related_passages_come_from_chunks_that_are_not_summarised_too() -> None:
    chunks, documents = corpus([("train", [["merge", "disk"], ["merge", "disk", "run"], ["tree"]])])
    chosen, usable = retrieved.choose(chunks, documents, 1, 0)
    (found,) = retrieved.beside(chunks[:1], usable, 2, retrieval.bm25, across=False)
    assert len(chosen) == 1 and found.related[0] == chunks[1]


def test_a_passage_that_quotes_the_reference_is_read_by_nobody() -> None:
    words = ["sorted", "runs", "make", "the", "merge", "FAST,", "on", "old", "disks"]
    chunks, documents = corpus([("train", [words, ["merge"]])])
    assert retrieved.quotes(chunks[0].text, REFERENCE) and not retrieved.quotes("It ends.", REFERENCE)
    chosen, usable = retrieved.choose(chunks, documents, 1, 0)
    assert chosen == usable == chunks[1:]
    with pytest.raises(DataError, match=r"distill\.examples: 2 passages are asked for, and split train has 1"):
        retrieved.choose(chunks, documents, 2, 0)


def test_domains_take_turns() -> None:
    chunks, documents = corpus([("train", [["merge"]] * 1 + [["disk"]] + [["run"]])] * 1 + [("train", [["tree"]])])
    chosen, _ = retrieved.choose(chunks, documents, 2, 3)
    assert {chunk.domain for chunk in chosen} == {"paper", "talk"}


def test_support_is_the_share_of_words_that_the_source_has() -> None:
    assert retrieved.support("The merge sorts runs.", "MERGE runs", frozenset({"the"})) == pytest.approx(2 / 3)
    assert retrieved.support("the", "the", frozenset({"the"})) == 0.0
