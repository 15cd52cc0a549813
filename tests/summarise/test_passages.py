"""Passages hold every sentence once, fit their room, and do not end in a tiny one."""

import re
import tracemalloc
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breviary.errors import ConfigError
from breviary.summarise import passages

WORD = re.compile(r"\w{1,6}|[^\w\s]")


def offsets(text: str) -> list[tuple[int, int]]:
    """A tokenizer of short words: like a real one it cuts long words, and joins what is apart by a line end."""
    return [match.span() for match in WORD.finditer(text)]


def bytewise(text: str) -> list[tuple[int, int]]:
    """One token a byte: several tokens cover one character."""
    return [(place, place + 1) for place, letter in enumerate(text) for _ in letter.encode("utf-8", "surrogatepass")]


TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(
        st.sampled_from(["Tides rise. ", "So?\n\n", "word ", "x" * 50, "  ", "潮汐。", "Dr. A. B. "]), max_size=60
    ).map("".join),
)


def cut(text, tokenizer, room, overlap=0):
    run = passages.source(text, tokenizer, room=room, overlap=overlap)
    return list(passages.numbered(passages.group(run, tokenizer, room=room, overlap=overlap), []))


def letters(text: str) -> str:
    return "".join(text.split())


@settings(deadline=None)
@given(text=TEXTS, room=st.integers(16, 60), share=st.floats(0, 0.9), tokenizer=st.sampled_from([offsets, bytewise]))
def test_every_token_is_fresh_in_one_passage_and_no_passage_exceeds_its_room(text, room, share, tokenizer):
    found = cut(text, tokenizer, room, int(share * room))
    assert all(0 < len(tokenizer(passage.text)) <= room for passage in found)
    assert all(passage.fresh for passage in found)
    fresh = [sentence for passage in found for sentence in passage.fresh]
    spans = [span for sentence in fresh for span in sentence.spans]
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert [text[slice(*span)] for span in spans] == [sentence.text.strip() for sentence in fresh]
    left_out = [
        text[end:start]
        for end, start in zip([0, *(b for _, b in spans)], [*(a for a, _ in spans), len(text)], strict=True)
    ]
    assert not [gap for gap in left_out if tokenizer(gap.strip())]


@given(text=TEXTS, room=st.integers(16, 60), tokenizer=st.sampled_from([offsets, bytewise]))
def test_a_passage_reads_as_its_part_of_the_source_does(text, room, tokenizer):
    for passage in cut(text, tokenizer, room):
        start, end = passage.sentences[0].spans[0][0], passage.sentences[-1].spans[-1][1]
        assert letters(passage.text) == "".join(letters(text[slice(*each.spans[0])]) for each in passage.sentences)
        if tokenizer is bytewise:
            assert letters(passage.text) == letters(text[start:end])


@settings(deadline=None)
@given(words=st.integers(1, 120), room=st.integers(16, 60))
def test_the_last_passage_is_not_a_tiny_one(words, room):
    found = cut("One two. " * words, offsets, room)
    sizes = [passage.tokens for passage in found]
    assert sum(sizes) == 3 * words
    if len(sizes) > 1:
        assert sizes[-1] >= room // 2 - 3
        assert all(size > room - 3 for size in sizes[:-2])


@settings(deadline=None)
@given(words=st.integers(1, 120), room=st.integers(16, 60))
def test_speech_without_a_full_stop_is_cut_between_words(words, room):
    found = cut("so we had this idea " * words, offsets, room)
    assert [word for passage in found for word in passage.text.split()] == ["so", "we", "had", "this", "idea"] * words
    assert all(passage.tokens > room * 0.7 for passage in found[:-2])


def test_one_endless_word_is_cut_too():
    found = cut("x" * 50_000, offsets, 32)
    assert "".join(passage.text for passage in found) == "x" * 50_000


@settings(deadline=None)
@given(text=TEXTS, room=st.integers(20, 60), overlap=st.integers(1, 12))
def test_an_overlap_repeats_whole_sentences_of_the_passage_before(text, room, overlap):
    found = cut(text, offsets, room, overlap)
    for before, after in pairwise(found):
        repeated = after.sentences[: after.repeated]
        assert sum(each.tokens for each in repeated) <= overlap
        assert [each.spans for each in repeated] == [
            each.spans for each in before.sentences[len(before.sentences) - len(repeated) :]
        ]
    assert not found or not found[0].repeated


def test_passages_do_overlap():
    found = cut("One two three. " * 60, offsets, 20, 8)
    assert all(passage.repeated == 2 for passage in found[1:-1])
    assert all(passage.repeated for passage in cut("so we had this idea " * 60, offsets, 20, 8)[1:-1])


@pytest.mark.parametrize("overlap", [20, 21, -1])
def test_an_overlap_that_leaves_nothing_to_advance_by_is_refused(overlap):
    with pytest.raises(
        ConfigError, match=f"{overlap} tokens of overlap in passages of 20 tokens: overlap_tokens must be"
    ):
        list(passages.group([], offsets, room=20, overlap=overlap))


def test_a_room_for_less_than_a_character_is_refused():
    def wasteful(text):
        return [(0, 1)] * (99 * len(text))

    with pytest.raises(ConfigError, match="one character needs more than the 16 tokens"):
        cut("a", wasteful, 16)


@given(TEXTS)
def test_an_answer_is_split_into_sentences_that_make_it_up(text):
    found = passages.split(text, bytewise)
    assert letters(passages.joined(found)) == letters(text)
    assert all(each.text.strip() and each.tokens == len(bytewise(each.text.strip())) for each in found)


def test_white_space_keeps_its_kind_but_not_its_width():
    text = "One two." + " " * 9000 + "Three four.\n\n\n\nFive six.\nSeven eight."
    assert cut(text, offsets, 64)[0].text == "One two. Three four.\n\nFive six.\nSeven eight."


def test_chunks_are_numbered_and_know_where_they_stand():
    text, spans = "One two three. " * 30, []
    run = passages.group(passages.source(text, offsets, room=16), offsets, room=16)
    found = list(passages.numbered(run, spans))
    assert [passage.chunks for passage in found] == [(place,) for place in range(len(found))]
    assert [text[slice(*span)] for span in spans] == [passage.text for passage in found]


def test_a_text_longer_than_a_block_is_split_as_if_it_were_one(monkeypatch):
    text = "One two three. Four five six, and seven.\n\n" * 40
    whole = list(passages.source(text, offsets, room=32))
    monkeypatch.setattr(passages, "BLOCK", 100)
    assert list(passages.source(text, offsets, room=32)) == whole


@settings(max_examples=25)
@given(text=TEXTS, block=st.integers(1, 50))
def test_blocks_lose_nothing(text, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "BLOCK", block)
        spans = list(passages._spans(text))
    assert "".join(text[slice(*span)] for span in spans) == text


def test_memory_does_not_grow_with_the_text():
    def peak(words: int) -> int:
        text = "so we had this idea. " * (words // 5)
        tracemalloc.start()
        run = passages.group(passages.source(text, offsets, room=64), offsets, room=64)
        assert sum(1 for _ in run) > words // 100
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(5_000)  # caches fill
    assert peak(20_000) < 1.1 * peak(10_000)


def test_passages_are_made_only_as_they_are_asked_for():
    asked = []

    def counting(text):
        asked.append(text)
        return offsets(text)

    text = "so we had this idea. " * 100_000
    run = passages.group(passages.source(text, counting, room=64), counting, room=64)
    assert len(list(islice(run, 3))) == 3
    assert len(asked) < 100
