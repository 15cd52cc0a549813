"""Hierarchical summarisation: a document of any length, through a model that reads so many tokens at a time.

    chunk by the model's own tokens, at sentence ends  ->  summarise each  ->  leave out what is said twice
    ->  the summaries are the next level's text  ->  ...  ->  one call holds it all: its answer is the summary

Takes functions, not models. What holds, whatever they answer:
    every token of the source reaches the model once a level, overlap aside (`extract` and `truncate` say how many do)
    no call has more than `room` tokens of text
    a level is shorter than the one below it, or an error says why; there are at most `max_depth` of them
    every sentence of the summary knows the chunks, and the characters of the source, it comes from

Recursive summarisation of books is Wu et al. 2021, arXiv:2109.10862; map-reduce and refine are the names that LangChain
gave to the two ways of doing it.
"""

from collections.abc import Callable, Generator
from typing import Literal, TypeVar

from pydantic import Field

from breviary import config
from breviary.data.sentences import Offsets
from breviary.errors import ModelError
from breviary.summarise import extract, map_reduce, refine, retrieval, truncate
from breviary.summarise.levels import Asked, Asking, Given, Summary

Told = TypeVar("Told")
Mode = Literal["truncate", "map_reduce", "refine", "extract"]
MODES: dict[Mode, Callable[[str, Given], Asking]] = {
    "truncate": truncate.asking,
    "map_reduce": map_reduce.asking,
    "refine": refine.asking,
    "extract": extract.asking,
}


class Options(config.Options):
    """Section `hierarchy`: what becomes of documents that are longer than a prompt has room for."""

    mode: Mode
    overlap_tokens: int = Field(ge=0)  # of the source, that neighbouring chunks share
    keep: float = Field(gt=0, le=1)  # tokens of a summary that is summarised again, over those of its passage
    max_depth: int = Field(ge=1, le=64)  # levels of map_reduce
    similarity: Literal["tfidf", "dense"]  # of sentences and passages: by their words, or by the encoder
    duplicate: float = Field(gt=0, le=1)  # similarity from which a sentence says nothing new; 1: only the same
    parts: int = Field(ge=1, le=64)  # extract: of one prompt, that are chosen one by one
    diversity: float = Field(ge=0, le=1)  # extract: 0 takes the most central parts, 1 the least alike


def begin(text: str, options: Options, *, room: int, offsets: Offsets, similar: retrieval.Index) -> Asking:
    """The summary of `text` as a generator: it yields texts of at most `room` tokens and is sent their summaries.

    Only the mode `truncate` yields a text that may be longer, which is to be cut at `room` tokens.
    """
    given = Given(
        offsets=offsets,
        similar=similar,
        room=room,
        overlap=options.overlap_tokens,
        keep=options.keep,
        duplicate=options.duplicate,
        max_depth=options.max_depth,
        parts=options.parts,
        diversity=options.diversity,
    )
    return MODES[options.mode](text, given)


def run(asking: Asking, read: Callable[[Asked], Generator[Told, None, list[str]]]) -> Generator[Told, None, Summary]:
    """What comes of `asking` when `read` answers, which may yield what it has to tell on the way.

    Raises ModelError where it does not answer every text.
    """
    asked = next(asking)
    while True:
        answers = yield from read(asked)
        if len(answers) != len(asked.texts):
            raise ModelError(f"{len(asked.texts)} texts went in and {len(answers)} summaries came out")
        try:
            asked = asking.send(answers)
        except StopIteration as done:
            return done.value
