"""WebVTT: words and times, rolling captions, and refusals with a line number."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.data.formats import vtt
from breviary.errors import DataError

PLAIN = """WEBVTT - a talk
Kind: captions

NOTE made by hand

STYLE
::cue { color: red }

intro
00:00.000 --> 00:02.500 align:start position:0%
Good morning, <b>everyone</b>. Today

00:00:02.500 --> 00:00:05.000
<v Ada>we talk about salt &amp;
pepper.

00:00:07.250 --> 00:00:09.000
[Applause]

01:00:09.000 --> 01:00:11.000
Thank you.
"""

ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.550 align:start position:0%
\x20
hello<00:00:00.400><c> and</c><00:00:00.560><c> welcome</c>

00:00:02.550 --> 00:00:02.560 align:start position:0%
hello and welcome
\x20

00:00:02.560 --> 00:00:04.710 align:start position:0%
hello and welcome
to<00:00:02.800><c> the</c><00:00:03.040><c> very</c>

00:00:04.710 --> 00:00:04.720 align:start position:0%
to the very
\x20

00:00:04.720 --> 00:00:06.870 align:start position:0%
to the very
very<00:00:04.960><c> last</c><00:00:05.200><c> lecture</c>

00:00:06.870 --> 00:00:06.880 align:start position:0%
very last lecture
\x20
"""


def test_cues_become_sentences_with_times() -> None:
    parsed = vtt.parse(PLAIN.encode(), "a.vtt")
    assert parsed.text == "Good morning, everyone. Today we talk about salt & pepper. Thank you."
    assert [(parsed.text[offset:].split()[0], seconds) for offset, seconds in parsed.times] == [
        ("Good", 0.0),
        ("we", 2.5),
        ("Thank", 3609.0),
    ]
    assert parsed.repairs == ("sound_captions",)


def test_rolling_captions_are_told_once() -> None:
    parsed = vtt.parse(ROLLING.encode(), "a.vtt")
    assert parsed.text == "hello and welcome to the very very last lecture"
    assert [seconds for _, seconds in parsed.times] == [0.16, 2.56, 4.72]
    assert parsed.repairs == ("rolling_captions",)


def test_a_speaker_may_say_a_thing_twice() -> None:
    cues = ["Let us begin.", "No.", "No.", "I said no.", "And so it went.", "On we go.", "Fine."]
    body = "\n".join(f"\n00:{at:02}.000 --> 00:{at + 1:02}.000\n{cue}" for at, cue in enumerate(cues))
    assert vtt.parse(f"WEBVTT\n{body}\n".encode(), "a.vtt").text == " ".join(cues)


@given(words=st.lists(st.sampled_from(["salt", "well", "a", "is", "pepper.", "Now"]), min_size=1), seed=st.integers())
def test_no_word_is_lost_wherever_the_cues_are_cut(words: list[str], seed: int) -> None:
    random.Random(seed).shuffle(words)
    numbered = [f"{word}{index}" for index, word in enumerate(words)]
    cues = [numbered[at : at + 3] for at in range(0, len(numbered), 3)]
    body = "".join(f"\n00:{at % 60:02}.000 --> 00:59.999\n{' '.join(cue)}\n" for at, cue in enumerate(cues[:59]))
    parsed = vtt.parse(f"WEBVTT\n{body}".encode(), "a.vtt")
    assert parsed.text.split() == numbered[: 59 * 3]
    assert [parsed.text[offset:].split()[0] for offset, _ in parsed.times] == [cue[0] for cue in cues[:59]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("\n00:01.000 -> 00:02.000\nHi", r"talks/a\.vtt:3: a cue without a timing line: '00:01.000 -> "),
        ("\n00:01.0 --> 00:02.000\nHi", r"talks/a\.vtt:3: not a timing line \(00:00:01\.000 --> "),
        ("\n00:61.000 --> 00:62.000\nHi", r"talks/a\.vtt:3: not a timing line"),
        ("\n00:01,000 --> 00:02,000\nHi", r"talks/a\.vtt:3: not a timing line"),
        ("\n00:02.000 --> 00:01.000\nHi", r"talks/a\.vtt:3: the cue ends before it begins"),
        ("\n00:02.000 --> 00:03.000\nHi\n\n00:01.000 --> 00:04.000\nHo", r"talks/a\.vtt:6: the cue begins before"),
        ("\n00:02.000 --> 00:03.000\nHi\n00:03.000 --> 00:04.000\nHo", r"talks/a\.vtt:5: a timing line inside a cue"),
        ("\nwords without a time", r"talks/a\.vtt:3: a cue without a timing line: 'words without"),
        ("\nNOTE nothing else", r"talks/a\.vtt: no cue in the whole file"),
    ],
)
def test_a_broken_cue_is_refused_with_its_line(body: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        vtt.parse(f"WEBVTT\n{body}\n".encode(), "talks/a.vtt")


def test_all_broken_cues_are_told_at_once() -> None:
    with pytest.raises(DataError, match=r"a\.vtt:3: .*\na\.vtt:6: "):
        vtt.parse(b"WEBVTT\n\nfirst\nblock\n\nsecond\nblock\n", "a.vtt")


def test_the_header_is_required() -> None:
    with pytest.raises(DataError, match=r"a\.vtt:1: a WebVTT file begins with the line 'WEBVTT'"):
        vtt.parse(b"1\n00:00:01,000 --> 00:00:02,000\nHi\n", "a.vtt")


def test_line_ends_do_not_matter() -> None:
    assert vtt.parse(PLAIN.replace("\n", "\r\n").encode(), "a") == vtt.parse(PLAIN.encode(), "a")


def test_an_hour_of_more_digits_than_python_reads_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.vtt:3: not a timing line"):
        vtt.parse(b"WEBVTT\n\n" + b"1" * 5000 + b":00:01.000 --> 00:00:02.000\nHi\n", "a.vtt")
