"""Write `talks/<name>.vtt` from `transcripts/<name>.txt`, as captions of a recorded talk would look.

    python sample/make_captions.py

A cue holds 8 to 14 words and is cut wherever they end, mid-sentence as a rule. A word takes longer the longer it is;
the speaker has a tempo, words vary around it, and a pause follows a comma, a longer one a sentence, the longest a
paragraph: about 2.5 words a second. The same transcript under the same name gives the same bytes.
"""

import html
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SAMPLE = Path(__file__).parent
WORDS_PER_CUE = (8, 14)
LINE_WIDTH = 42  # characters; a longer cue is shown on two lines
WORD_SECONDS, LETTER_SECONDS = 0.165, 0.035  # of a word, and of each of its characters
TEMPO = 0.08  # a speaker is up to this share faster or slower than another
VARIATION = 0.3  # a word is up to this share longer or shorter than its length tells
PAUSES = {",;:": 0.15, ".?!": 0.45}  # seconds after a word that ends so, quotation marks aside
PARAGRAPH_PAUSE = 1.2  # seconds


class Word(NamedTuple):
    """A word and when it is spoken, in milliseconds from the start."""

    text: str
    start: int
    end: int


def captions(transcript: str, name: str) -> str:
    """The WebVTT file for a talk called `name`."""
    generator = random.Random(name)
    words = list(spoken(transcript, generator))
    blocks = ["WEBVTT"]
    while words:
        cue, words = words[: (count := _between(*WORDS_PER_CUE, generator))], words[count:]
        timing = f"{_stamp(cue[0].start)} --> {_stamp(cue[-1].end)}"
        blocks.append(f"{timing}\n{_lines(' '.join(word.text for word in cue))}")
    return "\n\n".join(blocks) + "\n"


def spoken(transcript: str, generator: random.Random) -> Iterator[Word]:
    """Every word of the transcript with its time."""
    tempo = 1 + TEMPO * _around_zero(generator)
    clock = 0.5 + generator.random()  # nobody speaks at once
    for paragraph in transcript.split("\n\n"):
        for word in paragraph.split():
            start = clock
            length = WORD_SECONDS + LETTER_SECONDS * len(word)
            clock += tempo * length * (1 + VARIATION * _around_zero(generator))
            yield Word(word, round(1000 * start), round(1000 * clock))
            clock += _pause(word) * (0.5 + generator.random())
        clock += PARAGRAPH_PAUSE * (0.5 + generator.random())


def _pause(word: str) -> float:
    """Seconds, on average, before the next word."""
    end = word.rstrip("\"')*]")[-1:]
    return next((seconds for marks, seconds in PAUSES.items() if end and end in marks), 0.0)


def _between(low: int, high: int, generator: random.Random) -> int:
    return low + int(generator.random() * (high - low + 1))


def _around_zero(generator: random.Random) -> float:
    return 2 * generator.random() - 1


def _stamp(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{thousandths:03}"


def _lines(text: str) -> str:
    """The cue on one line, or on two of about the same length; `<`, `>` and `&` as WebVTT wants them."""
    if len(text) > LINE_WIDTH:
        spaces = [at for at, letter in enumerate(text) if letter == " "]
        middle = min(spaces, key=lambda at: abs(2 * at - len(text)))
        text = f"{text[:middle]}\n{text[middle + 1 :]}"
    return html.escape(text, quote=False)


def main() -> None:
    """Write the captions of every transcript."""
    for transcript in sorted(SAMPLE.glob("transcripts/*.txt")):
        vtt = captions(transcript.read_text(encoding="utf-8"), transcript.stem)
        (SAMPLE / "talks" / f"{transcript.stem}.vtt").write_text(vtt, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
