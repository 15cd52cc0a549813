"""Records: ids are hashes of what is said, and of nothing else."""

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.records import Chunk, Document, Example, Pair, content_hash, to_dict

PARTS = st.lists(st.text(), max_size=4)


@given(first=PARTS, second=PARTS)
def test_hashes_are_equal_for_equal_parts_only(first: list[str], second: list[str]) -> None:
    assert (content_hash(*first) == content_hash(*second)) == (first == second)


def test_where_a_part_ends_matters() -> None:
    assert len({content_hash("ab", "c"), content_hash("a", "bc"), content_hash("abc"), content_hash("abc", "")}) == 4


def test_the_hash_of_a_content_never_changes() -> None:
    """Ids are in files that people keep: this value must be the same in each version."""
    assert content_hash("paper", "Título", "text\n") == "41cc7572c19bfc21"


def test_a_documents_id_is_of_its_content_and_not_of_where_it_was_found() -> None:
    document = Document("paper", "Title", "text", "summary", source="a/b.md", licence="x")
    moved = Document("paper", "Title", "text", "summary", source="c/d.md", group="g", times=((0, 1.5),))
    assert document.id == moved.id
    assert document.id != Document("talk", "Title", "text", "summary").id
    assert Document("paper", "Title", "text", id="given").id == "given"


def test_the_other_ids() -> None:
    chunk = Chunk("d", "paper", "train", 0, 0, 10, 3, "text")
    assert chunk.id != replace(chunk, id="", end=11).id
    assert Pair("a", "b", "x", "y", "train", 0.5, 1.1).id == Pair("a", "b", "z", "w", "test", 0.1, 1.0).id
    assert Pair("a", "b", "x", "y", "train", 0.5, 1.1).id != Pair("b", "a", "x", "y", "train", 0.5, 1.1).id
    alone = Example("d", "paper", "paper", "T", "text", "summary")
    assert alone.id != replace(alone, id="", partner_document="e").id
    assert alone.id == replace(alone, id="", origin="replay").id, "a replayed example is the same example"


def test_records_are_frozen_and_plain() -> None:
    document = Document("paper", "T", "text")
    with pytest.raises(FrozenInstanceError):
        document.text = "other"  # type: ignore[misc]
    assert to_dict(document)["domain"] == "paper"
