"""One document, summarised because somebody asked: of any length, within a budget, and told as it goes.

    hierarchy.begin says what the model must be asked   (any length, provenance)
    budget.plan     says with which profile, how long, by when   (tokens, milliseconds)
    this module     asks, and yields Progress and pieces of text; it returns what became of it

Before each call the rest of the work is estimated again, so that passages that took longer than planned shorten those
that follow, and the summary itself keeps its time. Estimates are upper bounds: a level has as many calls as its
passages would fill if every answer took all that it may.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from breviary import config
from breviary.data.prompts import Generated, Prompter
from breviary.errors import BudgetError
from breviary.model.limit import Limit
from breviary.summarise import backbone, budget, budgeted, ending, hierarchy, longform, retrieval, summariser
from breviary.summarise.hierarchy import Mode
from breviary.summarise.levels import Grounded, Summary

SECTIONS = (*summariser.SECTIONS, "hierarchy", "budget")
DEFAULT: Mode = "map_reduce"  # whoever asks for a summary wants it of the whole document


@dataclass(frozen=True)
class Request:
    """How a document is to be summarised; None is what params.yaml says."""

    mode: Mode = DEFAULT
    profile: str | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Progress:
    """Passages that have been read, of about so many. A new passage begins: what was yielded before is not its text."""

    done: int
    of: int


@dataclass(frozen=True)
class Answer:
    """A summary, where each sentence comes from, and what it cost."""

    text: str
    sentences: list[Grounded]
    tokens: int
    ms: float  # since the request
    profile: str
    mode: Mode
    lowered: str  # what was given up for the time; empty if nothing
    cut: bool  # it does not end in a whole sentence
    truncated: bool  # a part of the document was not read
    calls: int
    levels: int


Told = Generator[str | Progress, None, Answer]


@dataclass(frozen=True)
class Answerer:
    """A model that is loaded, and all that it takes to answer requests, one at a time."""

    writer: budgeted.Writer
    prompter: Prompter
    options: hierarchy.Options
    similar: retrieval.Index

    @cached_property
    def reader(self) -> longform.Summariser:
        """What reads texts and answers as the prompt has them."""
        return longform.Summariser(self.prompter, _nothing, self.options, self.writer.options.batch_size, self.similar)

    def answer(self, text: str, request: Request, limit: Limit) -> Told:
        """Yield pieces of text and progress; return the answer.

        Raises DataError where there is nothing to summarise, BudgetError where it cannot be done in time or tokens.
        """
        most = self._most(request)
        chosen = self.options.model_copy(update={"mode": request.mode})
        asking = hierarchy.begin(
            text, chosen, room=self.prompter.room, offsets=self.reader.offsets, similar=self.similar
        )
        work = _Work(self, request, limit, most, self.prompter.tokenizer.count(text))
        answers: list[str] | None = None
        while True:
            try:
                texts = next(asking) if answers is None else asking.send(answers)
            except StopIteration as done:
                return self._answer(done.value, work)
            answers = yield from work.read(texts)

    def _most(self, request: Request) -> int:
        most = request.max_tokens or min(self.writer.options.max_tokens, self.prompter.max_summary_tokens)
        if most > self.prompter.max_summary_tokens:
            raise BudgetError(
                f"{most} tokens are more than a summary may have (prompt.max_summary_tokens is "
                f"{self.prompter.max_summary_tokens}); ask for fewer"
            )
        return most

    def _answer(self, found: Summary, work: "_Work") -> Answer:
        ended = ending.fit(found.text, work.most, self.prompter.tokenizer.count, finished=work.finished)
        return Answer(
            text=ended.text,
            sentences=_kept(found.sentences, ended.text),
            tokens=ended.tokens,
            ms=work.limit.spent_ms,
            profile=work.profile,
            mode=work.request.mode,
            lowered=work.lowered,
            cut=ended.flagged,
            truncated=found.truncated,
            calls=found.calls,
            levels=found.levels,
        )


class _Work:
    """The calls of one request."""

    def __init__(self, answerer: Answerer, request: Request, limit: Limit, most: int, tokens: int) -> None:
        self.by, self.request, self.limit, self.most = answerer, request, limit, most
        self.left = rounds(tokens, answerer.prompter.room, most, answerer.options, request.mode)
        self.total, self.done = sum(self.left), 0
        self.profile, self.lowered, self.finished = "", "", True

    def read(self, texts: Sequence[str]) -> Generator[str | Progress, None, list[str]]:
        """What the model answers to each text."""
        answers, made = list[str](), list[Generated]()
        size = self.by.writer.options.batch_size
        self.left = [max(len(texts), self.left[0]), *self.left[1:]] if self.left else [len(texts)]
        for start in range(0, len(texts), size):
            batch = texts[start : start + size]
            if self.limit.cancelled():
                raise BudgetError("nobody waits for this summary any more, or it has taken longer than it may")
            if self.total > 1:
                yield Progress(self.done, max(self.total, self.done + len(batch)))
            made = yield from self._one(batch[0]) if len(batch) == 1 else self._several(batch)
            answers += [self.by.reader.read(each) for each in made]
            self.done += len(batch)
            self.left[0] -= len(batch)
        self.left = self.left[self.left[0] <= 0 :]
        self.finished = made[-1].finished
        return answers

    def _one(self, text: str) -> Generator[str, None, list[Generated]]:
        from breviary.model import stream

        plan = self._plan(1)
        settings, inside = self.by.writer.settings(plan, self.limit)
        prompt = self.by.prompter.prompt(text)
        writer = self.by.writer
        return [(yield from stream.stream(writer.model, writer.tokenizer, prompt, settings, inside, writer.seed))]

    def _several(self, texts: Sequence[str]) -> Generator[str, None, list[Generated]]:
        from breviary.model import generate, guard

        yield from ()
        plan = self._plan(len(texts))
        settings, inside = self.by.writer.settings(plan, self.limit)
        prompts, writer = [self.by.prompter.prompt(text) for text in texts], self.by.writer
        return generate.generate(writer.model, writer.tokenizer, prompts, settings, writer.seed, guard.Guard(inside))

    def _plan(self, prompts: int) -> budget.Plan:
        """The plan of the next call, in view of all that come after it."""
        size, longest = self.by.writer.options.batch_size, self.by.prompter.longest
        rest = [self.left[0] - prompts, *self.left[1:]]
        later = [min(size, count - at) for count in rest for at in range(0, max(count, 0), size)]
        calls = [budget.Call(each, longest, self.most) for each in (prompts, *later)]
        try:
            plan = self.by.writer.plan_calls(calls, self.limit, self.request.profile)
        except BudgetError as error:
            if len(calls) == 1:
                raise
            raise BudgetError(f"{error}; or choose the mode 'extract', which reads the central parts alone") from None
        self.profile, self.lowered = plan.profile, self.lowered or plan.lowered
        return replace(plan, calls=plan.calls[:1])


def rounds(tokens: int, room: int, most: int, options: hierarchy.Options, mode: Mode) -> list[int]:
    """How many passages each round of `mode` has for a text of so many tokens, at most."""
    if mode in ("truncate", "extract") or tokens <= room:
        return [1]
    if mode == "refine":
        past = int(min(options.keep, 0.5) * room)
        return [1] * math.ceil(tokens / max(1, room - past - options.overlap_tokens))
    found = [math.ceil(tokens / max(1, room - options.overlap_tokens))]
    said = min(most, int(options.keep * room))
    while found[-1] > 1 and len(found) < options.max_depth:
        found.append(max(1, min(found[-1] - 1, math.ceil(found[-1] * said / room))))
    return found


def _kept(sentences: Sequence[Grounded], text: str) -> list[Grounded]:
    """The sentences that a text which was cut back still has, the last one as it stands there."""
    kept, at = list[Grounded](), 0
    for sentence in sentences:
        found = text.find(sentence.text, at)
        if found < 0:
            if rest := text[at:].strip():
                kept.append(replace(sentence, text=rest))
            break
        kept.append(sentence)
        at = found + len(sentence.text)
    return kept


def _nothing(prompts: Sequence[object]) -> list[Generated]:
    raise AssertionError("whoever answers requests asks the model itself")


def finished(telling: Told) -> Answer:
    """The answer alone."""
    while True:
        try:
            next(telling)
        except StopIteration as done:
            return done.value


def answerer(params: config.Params, adapter: Path | None, base: Path = backbone.BASE) -> Answerer:
    """The model of the record `base` with `adapter`, ready to answer. Raises ResourceError where memory will not do."""
    options = params.section("hierarchy", hierarchy.Options)
    prompter = backbone.prompter(params, base)
    model = summariser.loaded(params, adapter, base)
    writer = budgeted.writer(params, model, prompter.tokenizer, adapter, base)
    return Answerer(writer, prompter, options, longform.index(options))
