"""Neighbours come from where they may, best first; the central passages fit, and are not the same one twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.errors import ConfigError, DataError
from breviary.records import Chunk
from breviary.summarise import retrieval

TEXTS = [
    "The tide rises twice a day along the coast.",
    "Tide tables tell sailors when the water rises.",
    "A loaf of bread needs flour, water and yeast.",
    "Bakers knead flour and yeast, and let the bread rise.",
    "",
]


def chunk(text: str, index: int = 0, document: str = "d", split: str = "train") -> Chunk:
    return Chunk(document, "paper", split, index, 100 * index, 100 * index + len(text), len(text.split()), text)


def chunks(texts: list[str], document: str = "d", split: str = "train") -> list[Chunk]:
    return [chunk(text, index, document, split) for index, text in enumerate(texts)]


def letters(texts):
    """A stand-in for an encoder: how often each letter occurs, at unit length."""
    counted = np.array([[text.lower().count(chr(97 + place)) for place in range(26)] for text in texts], float)
    return counted / np.maximum(np.linalg.norm(counted, axis=1, keepdims=True), 1e-9)


INDEXES = {"dense": retrieval.dense(letters), "tfidf": retrieval.tfidf, "bm25": retrieval.bm25}
every_index = pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)


@pytest.mark.parametrize("name", ["tfidf", "bm25"])
def test_the_nearest_passage_is_about_the_same_thing(name):
    made = chunks(TEXTS)
    found = retrieval.nearest(made, 1, INDEXES[name])
    assert [[each.chunk.index for each in found[chunk.id]] for chunk in made] == [[1], [0], [3], [2], []]
    assert all(each.score > 0 for near in found.values() for each in near)


def test_dense_scores_are_cosines():
    made = chunks(TEXTS[:4])
    vectors = letters(TEXTS[:4])
    found = retrieval.nearest(made, 3, INDEXES["dense"])[made[0].id]
    assert [each.score for each in found] == pytest.approx(sorted((vectors[1:] @ vectors[0]).tolist(), reverse=True))


@every_index
@given(
    texts=st.lists(st.text("abcd ", max_size=12), min_size=1, max_size=12),
    owners=st.lists(st.sampled_from("xyz"), min_size=12, max_size=12),
    k=st.integers(1, 5),
)
def test_neighbours_are_other_passages_of_the_same_document_in_falling_order(index, texts, owners, k):
    made = [
        chunk(text, place, owner, {"x": "train"}.get(owner, "test"))
        for place, (text, owner) in enumerate(zip(texts, owners, strict=False))
    ]
    found = retrieval.nearest(made, k, index)
    assert list(found) == [each.id for each in made]
    for own in made:
        near = found[own.id]
        assert len(near) <= k
        assert len({each.chunk.id for each in near}) == len(near)
        assert all(each.chunk.document == own.document and each.chunk.text != own.text for each in near)
        assert [each.score for each in near] == sorted((each.score for each in near), reverse=True)


@every_index
def test_a_pool_of_training_passages_joins_the_own_document(index):
    own, pool = chunks(TEXTS[:1], "a"), [*chunks(TEXTS[1:], "b"), *chunks(TEXTS[:1], "a")]
    found = retrieval.nearest(own, 9, index, pool=pool)[own[0].id]
    assert {each.chunk.document for each in found} == {"b"}
    assert retrieval.nearest(own, 9, index) == {own[0].id: []}


def test_a_pool_with_a_passage_of_another_split_is_refused():
    with pytest.raises(DataError, match="1 of 2 chunks to retrieve from are not of split 'train', the first of doc"):
        pool = [chunk("a", 0, "t"), chunk("b", 0, "v", "valid")]
        retrieval.nearest(chunks(TEXTS), 1, retrieval.tfidf, pool=pool)


def test_no_neighbours_are_not_asked_for():
    with pytest.raises(ConfigError, match="k=0: at least one neighbour"):
        retrieval.nearest(chunks(TEXTS), 0, retrieval.tfidf)


def test_no_word_of_another_split_is_counted():
    """TF-IDF of the test passages is the same whether training passages stand beside them or not."""
    test, train = chunks(TEXTS, "t", "test"), chunks(["tide " * 9, "water " * 9], "n")
    alone = retrieval.nearest(test, 4, retrieval.tfidf)
    together = retrieval.nearest([*test, *train], 4, retrieval.tfidf)
    assert {name: together[name] for name in alone} == alone


@pytest.mark.parametrize("index", [retrieval.tfidf, retrieval.bm25, retrieval.dense(letters)])
def test_texts_without_a_word_are_like_nothing(index):
    assert not index(["", "..."])([0, 1]).any()
    assert retrieval.nearest([], 1, index) == {}


def test_scripts_without_spaces_have_words_too():
    assert retrieval.words("Tide 潮汐 ÉTÉ x2") == ["tide", "潮", "汐", "été", "x2"]


@given(
    texts=st.lists(st.text("abcd ", max_size=12), min_size=1, max_size=12),
    room=st.integers(12, 40),
    diversity=st.floats(0, 1),
)
def test_central_passages_fit_and_no_other_one_would(texts, room, diversity):
    sizes = [len(text) for text in texts]
    chosen = retrieval.central(retrieval.tfidf(texts), sizes, room, diversity=diversity)
    assert chosen == sorted(set(chosen))
    used = sum(sizes[place] for place in chosen)
    assert used <= room
    assert all(used + sizes[place] > room for place in range(len(texts)) if place not in chosen)


def test_the_central_passage_is_chosen_and_its_double_is_not():
    texts = ["tide coast water", "tide coast water", "tide coast", "tide yeast water", "engine"]
    rows = retrieval.tfidf(texts)
    assert retrieval.central(rows, [1] * 5, 2, diversity=0.0) == [0, 1]
    assert retrieval.central(rows, [1] * 5, 1, diversity=0.5) == [0]
    assert 1 not in retrieval.central(rows, [1] * 5, 2, diversity=0.7)


def test_a_room_that_holds_no_passage_is_an_error():
    with pytest.raises(DataError, match="no passage fits 3 tokens; the shortest has 4"):
        retrieval.central(retrieval.tfidf(TEXTS), [4, 5, 6, 7, 8], 3, diversity=0.5)
