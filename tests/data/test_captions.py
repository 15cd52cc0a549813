"""Joining cues: rolling tracks are told once, and every word of ordinary tracks is kept."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from breviary.data.captions import Cue, join, overlap, refuse, rolls
from breviary.errors import DataError

WORDS = st.lists(st.integers(0, 500).map(lambda number: f"w{number}"), min_size=4, max_size=60, unique=True)


def cues(*texts: str) -> list[Cue]:
    return [Cue(float(at), at + 1.0, text) for at, text in enumerate(texts)]


@given(words=WORDS, size=st.integers(2, 5))
def test_two_rolling_lines_are_told_once(words: list[str], size: int) -> None:
    lines = [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
    assume(len(lines) > 2)  # two cues are too few to tell
    rolling = [f"{before}\n{line}" if before else line for before, line in zip(["", *lines], lines, strict=False)]
    joined = join(cues(*rolling))
    assert joined.text.split() == words
    assert [joined.text[offset:].split()[0] for offset, _ in joined.times] == [line.split()[0] for line in lines]


@given(words=WORDS)
def test_a_line_that_grows_word_by_word_is_told_once(words: list[str]) -> None:
    assert join(cues(*(" ".join(words[: at + 1]) for at in range(len(words))))).text.split() == words


@given(words=WORDS, size=st.integers(1, 5))
def test_an_ordinary_track_keeps_every_word(words: list[str], size: int) -> None:
    lines = [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
    assert join(cues(*lines)).text.split() == words


def test_one_word_alone_is_no_overlap() -> None:
    assert overlap(["of", "the"], ["the", "salt"]) == 0
    assert overlap(["the"], ["the", "salt"]) == 1
    assert overlap(["of", "the"], ["of", "the", "salt"]) == 2


def test_a_few_repeats_do_not_make_a_rolling_track() -> None:
    assert not rolls([["yes"], ["yes"], *([f"a{at}", f"b{at}"] for at in range(6))])
    assert not rolls([["yes"], ["yes"]])


def test_markup_and_entities_are_resolved() -> None:
    joined = join(cues("<v Ada><i>salt</i> &amp; 3 < 5", "{\\an8}[Music]", "♪ ♪"))
    assert joined.text == "salt & 3 < 5"
    assert joined.repairs == ("sound_captions",)


def test_no_cues_are_no_text() -> None:
    assert join([]).text == ""


def test_broken_cues_are_listed_ten_at_a_time_with_a_remedy() -> None:
    with pytest.raises(DataError) as refused:
        refuse("a.vtt", [(line, "broken") for line in range(1, 13)])
    lines = str(refused.value).split("\n")
    assert lines[0] == "a.vtt:1: broken" and lines[9] == "a.vtt:10: broken"
    assert lines[10:] == ["... and 2 more", "mend these lines, get the captions again, or leave the file out"]


def test_a_reference_to_no_character_is_shown_as_one_that_is_missing() -> None:
    assert join(cues(f"salt &#{'1' * 5000}; rock &#38; sand")).text == "salt \ufffd rock & sand"


@given(before=st.lists(st.sampled_from("ab"), max_size=9), words=st.lists(st.sampled_from("ab"), max_size=9))
def test_the_overlap_is_the_longest_there_is(before: list[str], words: list[str]) -> None:
    counts = range(1, min(len(before), len(words)) + 1)
    longest = max((count for count in counts if before[-count:] == words[:count]), default=0)
    assert overlap(before, words) == (longest if longest > 1 or len(before) == 1 else 0)


def test_two_cues_that_hold_a_whole_file_are_compared_in_one_pass() -> None:
    """Comparing every length with every other would take hours."""
    long = ["salt", "rock"] * 200_000
    assert overlap(long, [*long, "sand"]) == len(long)
    assert overlap([*long, "sand"], long) == 0
