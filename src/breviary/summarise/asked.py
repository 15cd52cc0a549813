"""One document, summarised because somebody asked: of any length, within a budget, and told as it goes.

hierarchy.begin says what the model must be asked   (any length, provenance)
budget.plan     says with which profile, how long, by when   (tokens, milliseconds)
calls.Calls     asks, and yields Progress and pieces of text
this module     puts them together, and says what became of it
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from breviary import config
from breviary.data.prompts import Generated, Prompter
from breviary.errors import BudgetError, DataError, ModelError
from breviary.model.limit import Limit, start
from breviary.summarise import answers, backbone, budgeted, ending, hierarchy, longform, retrieval, summariser
from breviary.summarise.calls import DEFAULT, Calls, Progress, Request
from breviary.summarise.hierarchy import Mode
from breviary.summarise.levels import Grounded, Summary
from breviary.summarise.passages import BLOCK

__all__ = ["DEFAULT", "SECTIONS", "Answer", "Answerer", "Progress", "Request", "Telling", "answerer", "finished"]

SECTIONS = (*summariser.SECTIONS, "hierarchy", "budget")
LEAST = 8  # tokens: of fewer, a model can only make something up


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


class Telling:
    """A request that is being answered: iterate over what it tells; then there is an `answer`."""

    answer: Answer

    def __init__(self, told: Told) -> None:
        self._told = told

    def __iter__(self) -> Iterator[str | Progress]:
        """Pieces of text and progress."""
        self.answer = yield from self._told


def finished(told: Told) -> Answer:
    """The answer alone."""
    telling = Telling(told)
    for _ in telling:
        pass
    return telling.answer


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

    def limit(self, max_ms: int | None = None) -> Limit:
        """The limit of a request that comes in now: its own, else the project's. What the model costs is known before
        its time begins."""
        most = max_ms or self.writer.options.max_ms
        if most:
            self.writer.prepare()
        return start(most)

    def answer(self, text: str, request: Request, limit: Limit) -> Told:
        """Yield pieces of text and progress; return the answer.

        Raises DataError where there is nothing to summarise, BudgetError where it cannot be done in time or tokens,
        ModelError where the model has nothing to say.
        """
        most, tokens = self._most(request), self._tokens(text)
        chosen = self.options.model_copy(update={"mode": request.mode})
        asking = hierarchy.begin(
            answers.defused(text, self.reader.cues),
            chosen,
            room=self.prompter.room,
            offsets=self.reader.offsets,
            similar=self.similar,
        )
        calls = Calls(self.writer, self.reader, request, limit, most=most, tokens=tokens)
        found = yield from hierarchy.run(asking, calls.read)
        return self._answer(found, calls)

    def _most(self, request: Request) -> int:
        most = request.max_tokens or min(self.writer.options.max_tokens, self.prompter.max_summary_tokens)
        if most > self.prompter.max_summary_tokens:
            raise BudgetError(
                f"{most} tokens are more than a summary may have (prompt.max_summary_tokens is "
                f"{self.prompter.max_summary_tokens}); ask for fewer"
            )
        return most

    def _tokens(self, text: str) -> int:
        """Tokens of `text`, but for what cutting it into blocks adds: all of it at once takes 150 bytes a character."""
        blocks = (text[at : at + BLOCK] for at in range(0, len(text), BLOCK))
        tokens = sum(map(self.prompter.tokenizer.count, blocks))
        if text.strip() and tokens < LEAST:
            raise DataError(
                f"'{text.strip()[:40]}' is {tokens} tokens long; there is nothing to summarise in fewer than {LEAST}"
            )
        return tokens

    def _answer(self, found: Summary, calls: Calls) -> Answer:
        if not any(map(str.isalnum, found.text)):
            raise ModelError("the model answered without a word; try another model, or ask for more tokens")
        ended = ending.fit(found.text, calls.most, self.prompter.tokenizer.count, finished=True)  # each answer has been
        is_cut = ended.flagged or (not calls.finished and ended.text.endswith(ending.ELLIPSIS))
        return Answer(
            text=ended.text,
            sentences=_kept(found.sentences, ended.text),
            tokens=ended.tokens,
            ms=calls.limit.spent_ms,
            profile=calls.profile,
            mode=calls.request.mode,
            lowered=calls.lowered,
            cut=is_cut,
            truncated=found.truncated,
            calls=found.calls,
            levels=found.levels,
        )


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


def answerer(
    params: config.Params, adapter: Path | None, base: Path = backbone.BASE, best: str | None = None
) -> Answerer:
    """The model of the record `base` with `adapter`, ready to answer requests of any profile, or of those from `best`
    on. Raises ResourceError where memory will not do, ConfigError for an unknown profile."""
    options = params.section("hierarchy", hierarchy.Options)
    prompter = backbone.prompter(params, base)
    model = budgeted.loaded(params, adapter, base, best)
    writer = budgeted.writer(params, model, prompter.tokenizer, adapter, base)
    return Answerer(writer, prompter, options, longform.index(options))
