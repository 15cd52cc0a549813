"""One level of a hierarchy: passages go to the model, answers come back as sentences that know where they are from.

Sentences that say again what was said are left out: in order, a sentence stays unless its similarity to one that stays
reaches `duplicate`. The earlier one takes over the origin of the later.

The model is asked by `yield`: a mode is a generator that gives texts (`Asked`) and is sent as many answers. So one
document or many can be under way, in batches of any size, and no mode knows of models, files or progress.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from breviary.data.sentences import Offsets, Span
from breviary.errors import BudgetError
from breviary.summarise import ending, passages, retrieval, tracing
from breviary.summarise.passages import Passage, Sentence

AT_ONCE = 256  # passages of one document that are asked for together; what one document holds in memory of its source


@dataclass(frozen=True)
class Given:
    """What a mode works with: functions and numbers, no model."""

    offsets: Offsets  # the model's tokenizer, as it reads the text inside a prompt
    similar: retrieval.Index  # between sentences, for duplicates
    room: int  # tokens of text in one call
    overlap: int  # tokens of source that neighbouring chunks share
    keep: float  # tokens of a summary that is read again, at most, over those of its passage
    duplicate: float  # similarity from which a sentence says nothing new
    max_depth: int  # levels
    parts: int  # of a prompt, that `extract` chooses separately
    diversity: float  # 0 to 1: how much `extract` shuns what it has chosen already

    def count(self, text: str) -> int:
        """Tokens of `text`."""
        return len(self.offsets(text))


@dataclass(frozen=True)
class Grounded:
    """One sentence of a summary, and where it comes from."""

    text: str
    chunks: list[int]  # positions in `Summary.chunks`
    spans: list[Span]  # characters of the source


@dataclass(frozen=True)
class Summary:
    """A summary of a document of any length, and how it came about."""

    text: str
    sentences: list[Grounded]
    chunks: list[Span]  # characters of the source that each chunk covers
    levels: int  # how often text was summarised on the longest way from source to summary
    calls: int  # texts that the model was given
    read: int  # tokens of text that it was given, repetitions included
    tokens: int  # of the summary
    coverage: float  # share of the source's tokens that reached the model
    finished: bool = True  # the model ended the last answer by itself, rather than by the token limit

    @property
    def truncated(self) -> bool:
        """Whether there is a part of the source that no model has seen."""
        return self.coverage < 1


@dataclass(frozen=True)
class Asked:
    """Texts that are to be summarised, which are a level of a document or a part of one."""

    texts: list[str]
    is_alone: bool = True  # the whole level is one text
    goes_on: bool = False  # more texts of the level follow


Asking = Generator[Asked, list[str], Summary]


@dataclass(frozen=True)
class Level:
    """What became of a run of passages."""

    sentences: list[Sentence]
    calls: int
    tokens: int  # of the passages, each sentence once
    read: int  # of the passages, repetitions included


def level(run: Iterator[Passage], given: Given) -> Generator[Asked, list[str], Level]:
    """Ask for a summary of every passage. Only where there is one passage alone may its answer be of any length."""
    found: list[Sentence] = []
    calls = tokens = read = 0
    upcoming = next(run, None)
    while upcoming:
        block = [upcoming, *islice(run, AT_ONCE - 1)]
        upcoming = next(run, None)
        is_alone = not calls and len(block) == 1
        answers = yield Asked([passage.text for passage in block], is_alone, upcoming is not None)
        for passage, answer in zip(block, answers, strict=True):
            limit = None if is_alone else min(given.room, max(1, int(given.keep * passage.tokens)))
            found += digest(passage, answer, given, limit)
        calls += len(block)
        tokens += sum(passage.tokens for passage in block)
        read += sum(given.count(passage.text) for passage in block)
    return Level(deduplicated(found, given), calls, tokens, read)


def digest(passage: Passage, answer: str, given: Given, limit: int | None = None) -> list[Sentence]:
    """The sentences of an answer, at most `limit` tokens of them, traced to those of the passage."""
    if limit is not None:
        try:
            answer = ending.fit(answer, limit, given.count, finished=True).text
        except BudgetError:
            return []  # not one word is shorter than what it summarises
    said = passages.split(answer, given.offsets)
    if not said:
        return []
    *found, last = tracing.traced(said, passage.sentences)
    return [*found, replace(last, text=last.text.rstrip() + "\n")]


def deduplicated(run: list[Sentence], given: Given) -> list[Sentence]:
    """`run` without the sentences that say what an earlier one says; that one is then traced to both origins."""
    rows = given.similar([each.text.strip() for each in run])
    kept: dict[int, list[int]] = {}  # a sentence that stays -> those that repeat it
    places, count = np.zeros(len(run), dtype=np.int64), 0
    spelt: dict[str, int] = {}
    for start in range(0, len(run), retrieval.BLOCK):
        block = range(start, min(start + retrieval.BLOCK, len(run)))
        for place, scores in zip(block, rows(block), strict=True):
            key = " ".join(run[place].text.lower().split())
            twins = places[:count][scores[places[:count]] >= given.duplicate]
            first = spelt.get(key, int(twins[0]) if len(twins) else None)
            if first is None:
                kept[place] = []
                spelt[key] = place
                places[count] = place
                count += 1
            else:
                kept[first].append(place)
    return [
        tracing.joined(run[place], [run[place], *(run[each] for each in twins)], limit=None) if twins else run[place]
        for place, twins in kept.items()
    ]


def summary(
    found: list[Sentence], chunks: list[Span], given: Given, *, levels: int, calls: int, read: int, coverage: float
) -> Summary:
    """The summary that the sentences `found` make up."""
    text = passages.joined(found)
    grounded = [Grounded(each.text.strip(), list(each.chunks), list(each.spans)) for each in found]
    return Summary(text, grounded, list(chunks), levels, calls, read, given.count(text), coverage)


def source(text: str, given: Given, chunks: list[Span], room: int) -> Iterator[Passage]:
    """The chunks of a source, made as they are asked for; `chunks` is told where each is."""
    run = passages.source(text, given.offsets, room=room, overlap=given.overlap)
    return passages.numbered(passages.group(run, given.offsets, room=room, overlap=given.overlap), chunks)
