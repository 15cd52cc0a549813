"""Windows cover a document in order within their limits; splits keep groups together and shares close."""

import random
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary.data import chunks
from breviary.errors import DataError
from breviary.records import Document


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def letters(text: str) -> list[tuple[int, int]]:
    return [(place, place + 1) for place in range(len(text)) if not text[place].isspace()]


def cut(text: str, max_tokens: int = 12, overlap_tokens: int = 4, min_tokens: int = 3) -> list[str]:
    found = chunks.windows(text, words, max_tokens=max_tokens, overlap_tokens=overlap_tokens, min_tokens=min_tokens)
    assert [tokens for _, _, tokens in found] == [len(words(text[start:end])) for start, end, _ in found]
    return [text[start:end] for start, end, _ in found]


def options(**changes: Any) -> chunks.Options:
    values = {"max_tokens": 16, "overlap_tokens": 4, "min_tokens": 4, "split": {"valid": 0.1, "test": 0.25}, **changes}
    return chunks.Options.model_validate(values)


SENTENCES = "One two three. Four five six. Seven eight nine. Ten eleven twelve. Alpha beta gamma. "


def test_windows_end_at_sentence_ends_and_overlap_by_whole_sentences():
    assert cut(SENTENCES) == [
        "One two three. Four five six. Seven eight nine.",
        "Seven eight nine. Ten eleven twelve. Alpha beta gamma.",
    ]


def test_no_overlap_when_a_sentence_is_longer_than_the_overlap():
    assert cut(SENTENCES, overlap_tokens=3) == [
        "One two three. Four five six. Seven eight nine.",
        "Ten eleven twelve. Alpha beta gamma.",
    ]


def test_a_short_last_window_reaches_back_instead_of_standing_alone():
    text = "One two three. Four five six. Seven eight nine. End."
    assert cut(text, overlap_tokens=0) == ["One two three. Four five six. Seven eight nine.", "Seven eight nine. End."]
    assert cut(text, overlap_tokens=0, min_tokens=2)[-1] == "End."


def test_a_short_document_is_one_window():
    assert cut("Hello.") == ["Hello."]


def test_speech_without_punctuation_is_cut_between_words_with_overlap():
    found = cut(" ".join(f"w{n}" for n in range(30)), max_tokens=12, overlap_tokens=4, min_tokens=2)
    assert found[0].split() == [f"w{n}" for n in range(12)]
    assert found[1].split() == [f"w{n}" for n in range(8, 20)]


def test_a_document_without_a_token_has_no_window():
    assert cut("") == cut(" \n ") == []
    assert chunks.windows("\x00", lambda text: [], max_tokens=16, overlap_tokens=0, min_tokens=1) == []


LIMITS = st.integers(4, 30).flatmap(
    lambda most: st.tuples(st.just(most), st.integers(0, most - 1), st.integers(1, most // 2))
)


@given(st.text(alphabet="abc  .!?\n\u2028é🤗", max_size=300), LIMITS, st.sampled_from([words, letters]))
def test_windows_cover_the_document_in_order_within_their_limits(text: str, limits: tuple[int, int, int], offsets: Any):
    most, overlap, least = limits
    found = chunks.windows(text, offsets, max_tokens=most, overlap_tokens=overlap, min_tokens=least)
    covered = [False] * len(text)
    for start, end, _ in found:
        covered[start:end] = [True] * (end - start)
    assert all(inside or character.isspace() for inside, character in zip(covered, text, strict=True))
    assert all(tokens <= most for _, _, tokens in found)
    assert len(found) < 2 or found[-1][2] >= least
    assert [start for start, _, _ in found] == sorted({start for start, _, _ in found})
    assert [end for _, end, _ in found] == sorted({end for _, end, _ in found})
    for (_, end, _), (start, _, _) in pairwise(found[:-1]):
        assert len(offsets(text[start:end])) <= overlap


def test_chunks_are_named_by_place_and_carry_their_split():
    document = Document("talk", "T", SENTENCES)
    found = chunks.chunk([document], {document.id: "valid"}, words, options())
    assert [(each.index, each.split, each.domain) for each in found] == [(0, "valid", "talk"), (1, "valid", "talk")]
    assert all(each.text == document.text[each.start : each.end] for each in found)
    assert len({each.id for each in found}) == 2


def test_documents_without_a_token_are_named():
    blank = Document("talk", "Silence", " \n", source="talks/silence.vtt")
    with pytest.raises(DataError, match=r"talks/silence\.vtt: 'Silence' has no usable token"):
        chunks.chunk([blank], {blank.id: "train"}, words, options())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"overlap_tokens": 16}, "overlap_tokens .16. must be below max_tokens .16."),
        ({"min_tokens": 9}, "min_tokens .9. must be at most half of max_tokens"),
        ({"split": {"valid": 0.5, "test": 0.5}}, "leaves nothing to train on"),
        ({"overlap": 3}, "did you mean 'overlap_tokens'"),
        ({"max_tokens": "16"}, "valid integer, got '16'"),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any], says: str):
    with pytest.raises(ValidationError, match=says):
        options(**changes)


def corpus(sizes: dict[str, int]) -> list[Document]:
    return [Document(domain, f"{domain} {n}", "x") for domain in sizes for n in range(sizes[domain])]


def draw(documents: list[Document], seed: int = 1) -> dict[str, str]:
    return chunks.splits(documents, valid=0.1, test=0.25, seed=seed)


def test_shares_hold_in_each_domain():
    documents = corpus({"paper": 40, "talk": 20})
    drawn = draw(documents)
    for domain, expected in (("paper", (26, 4, 10)), ("talk", (13, 2, 5))):
        counts = Counter(drawn[each.id] for each in documents if each.domain == domain)
        assert (counts["train"], counts["valid"], counts["test"]) == expected


def test_splits_depend_on_the_seed_but_not_on_the_order():
    documents = corpus({"paper": 30, "talk": 30})
    shuffled = random.Random(0).sample(documents, len(documents))
    assert list(draw(documents).items()) == list(draw(shuffled).items())
    assert draw(documents) != draw(documents, seed=2)


def test_few_documents_go_to_train_first_then_to_test():
    assert Counter(draw(corpus({"paper": 1})).values()) == {"train": 1}
    assert Counter(draw(corpus({"paper": 2})).values()) == {"train": 1, "test": 1}


@given(
    st.lists(st.tuples(st.sampled_from("ptn"), st.integers(0, 6)), max_size=60),
    st.integers(0, 5),
)
def test_groups_stay_whole_and_domains_with_enough_groups_are_in_each_split(rows: list[tuple[str, int]], seed: int):
    """Group 0 means alone; groups are drawn within a domain here, across domains in the next test."""
    documents = [Document(domain, str(n), "x", group=f"{domain}{g}" if g else "") for n, (domain, g) in enumerate(rows)]
    drawn = draw(documents, seed)
    assert set(drawn) == {each.id for each in documents}
    for domain in "ptn":
        own = [each for each in documents if each.domain == domain]
        if len({each.group or each.id for each in own}) >= 3:
            assert {drawn[each.id] for each in own} == {"train", "valid", "test"}
    for group in {each.group for each in documents} - {""}:
        assert len({drawn[each.id] for each in documents if each.group == group}) == 1


def test_a_group_that_spans_domains_stays_whole():
    documents = [
        Document(domain, f"{domain}{n}", "x", group=f"g{n}") for n in range(20) for domain in ("paper", "talk")
    ]
    drawn = draw(documents)
    assert all(len({drawn[each.id] for each in documents if each.group == f"g{n}"}) == 1 for n in range(20))
    assert set(drawn.values()) == {"train", "valid", "test"}


def test_a_split_with_a_seed_of_its_own_stays_over_training_seeds():
    documents = corpus({"paper": 40})
    own, shared = chunks.Split(valid=0.1, test=0.25, seed=3), chunks.Split(valid=0.1, test=0.25)
    assert chunks.drawn(documents, own, 17) == chunks.drawn(documents, own, 18) == draw(documents, 3)
    assert chunks.drawn(documents, shared, 17) == draw(documents, 17) != chunks.drawn(documents, shared, 18)
