"""SubRip: words and times agree with pysubs2 where that is strict enough, and broken cues are refused."""

import pysubs2
import pytest

from breviary.data.formats import srt
from breviary.errors import DataError

PLAIN = """1
00:00:01,000 --> 00:00:03,500
{\\an8}<i>Salt</i> is a rock

2
00:00:04,000 --> 00:00:06,250
that people eat. I have

2 pots of it.

3
01:02:03,004 --> 01:02:05,000
The end.
"""


def test_cues_become_sentences_with_times() -> None:
    parsed = srt.parse(PLAIN.encode(), "a.srt")
    assert parsed.text == "Salt is a rock that people eat. I have 2 pots of it. The end."
    assert parsed.times == ((0, 1.0), (15, 4.0), (53, 3723.004))


def test_a_track_reads_as_pysubs2_reads_it() -> None:
    cues, problems = srt.read_cues(PLAIN.split("\n"))
    reference = pysubs2.SSAFile.from_string(PLAIN, format_="srt")
    assert not problems
    assert [(round(cue.start * 1000), round(cue.end * 1000)) for cue in cues] == [(e.start, e.end) for e in reference]
    words = " ".join(event.plaintext for event in reference).split()
    assert srt.parse(PLAIN.encode(), "a.srt").text.split() == words


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1\n00:00:01,00 --> 00:00:02,000\nHi", r"a\.srt:2: not a timing line"),
        ("1\n00:00:02,000 --> 00:00:01,000\nHi", r"a\.srt:2: the cue ends before it begins"),
        ("00:00:01,000 --> 00:00:02,000\nHi", r"a\.srt:1: a number and a timing line were expected here"),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n00:00:02,000 --> 00:00:03,000\nHo",
            r"a\.srt:5: a timing line inside a cue; its number",
        ),
        (
            "1\n00:00:01,000 --> 00:00:02,000\nHi\n\n2\n00:00:02,000 -> 00:00:03,000\nHo",
            r"a\.srt:6: a timing line inside a cue",
        ),
        (
            "1\n00:00:05,000 --> 00:00:06,000\nHi\n\n2\n00:00:02,000 --> 00:00:03,000\nHo",
            r"a\.srt:6: the cue begins before the one above",
        ),
    ],
)
def test_a_broken_cue_is_refused_with_its_line(body: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        srt.parse(body.encode(), "a.srt")


def test_a_file_without_a_cue_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.srt: no cue in the whole file"):
        srt.parse(b"\n\n", "a.srt")
