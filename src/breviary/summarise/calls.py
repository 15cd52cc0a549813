"""The model calls of one request: made batch by batch, each planned in view of all that come after it.

Beams and length are spent on the summary, which is what somebody reads. Notes, which are summarised again, are written
with the last profile, the fastest, and no longer than the hierarchy keeps of them.

Before each call the rest of the work is estimated again, so that notes that took longer than planned shorten those that
follow, and the summary itself keeps its time. A level that is there is counted; one to come is taken to have as many
passages as its text fills if every answer takes all that it may.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from breviary.data.prompts import Generated
from breviary.errors import BudgetError
from breviary.model.limit import Limit
from breviary.summarise import budget, hierarchy, longform
from breviary.summarise.budgeted import Writer
from breviary.summarise.hierarchy import Mode
from breviary.summarise.levels import Asked

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


class Calls:
    """What is left to ask for one request, and how the last call ended."""

    def __init__(
        self, writer: Writer, reader: longform.Summariser, request: Request, limit: Limit, *, most: int, tokens: int
    ) -> None:
        """`most`: tokens of the summary; `tokens`: of the document."""
        self.writer, self.reader, self.request, self.limit, self.most = writer, reader, request, limit, most
        room, longest = reader.prompter.room, reader.prompter.max_summary_tokens
        self.note = min(longest, max(1, int(reader.options.keep * room)))  # tokens of what is summarised again
        self.left = rounds(tokens, room, self.note, reader.options, request.mode)
        self.level = 0  # passages of the level under way that were asked for
        self.total, self.done = sum(self.left), 0
        self.profile, self.lowered, self.finished = "", "", True

    def read(self, asked: Asked) -> Generator[str | Progress, None, list[str]]:
        """What the model answers to each text. Raises BudgetError where time is over or will not do."""
        answers, made, texts = list[str](), list[Generated](), asked.texts
        size, are_notes = self.writer.options.batch_size, not asked.is_alone
        self._count(asked)
        for start in range(0, len(texts), size):
            batch = texts[start : start + size]
            if self.limit.cancelled():
                raise BudgetError(
                    "nobody waits for this summary any more, or it has taken longer than it may: give it less text, or "
                    "choose the mode 'extract'"
                )
            if self.total > 1:
                yield Progress(self.done, max(self.total, self.done + len(batch)))
            made = yield from self._written(batch, self._plan(len(batch), are_notes))
            answers += [self.reader.read(each) for each in made]
            self.done += len(batch)
            self.left[0] -= len(batch)
        if not asked.goes_on:
            self.left, self.level = self.left[1:], 0
        self.finished = made[-1].finished
        return answers

    def _count(self, asked: Asked) -> None:
        """Take what is known of the level under way in place of what was estimated."""
        here = len(asked.texts)
        self.level += here
        if asked.goes_on:
            self.left[0] = max(self.left[0], here + 1)
        elif asked.is_alone:
            self.left = [here, *(self.left[1:] if self.request.mode == "refine" else [])]
        else:
            self.left = [here, *shrinking(self.level, self.reader.prompter.room, self.note, self.reader.options)[1:]]

    def _written(self, texts: Sequence[str], planned: budget.Planned) -> Generator[str, None, list[Generated]]:
        """What the model writes after each text; a single one is told piece by piece."""
        from breviary.model import generate, guard, stream

        settings, inside = self.writer.settings(planned, self.limit)
        prompts, writer = [self.reader.prompter.prompt(text) for text in texts], self.writer
        if len(prompts) == 1:
            pieces = stream.stream(writer.model, writer.tokenizer, prompts[0], settings, inside, writer.seed)
            return [(yield from pieces)]
        return generate.generate(writer.model, writer.tokenizer, prompts, settings, writer.seed, guard.Guard(inside))

    def _plan(self, prompts: int, are_notes: bool) -> budget.Planned:
        """The plan of the next call, in view of all that come after it."""
        size = self.writer.options.batch_size
        rest = [(self.left[0] - prompts, are_notes), *((count, count > 1) for count in self.left[1:])]
        later = [(min(size, count - at), notes) for count, notes in rest for at in range(0, max(count, 0), size)]
        calls = [self._call(count, notes) for count, notes in ((prompts, are_notes), *later)]
        try:
            plan = self.writer.plan_calls(calls, self.limit, self.request.profile)
        except BudgetError as error:
            if len(calls) == 1:
                raise
            raise BudgetError(f"{error}; or choose the mode 'extract', which reads the central parts alone") from None
        self.profile, self.lowered = plan.profile, self.lowered or plan.lowered
        return plan.calls[0]

    def _call(self, prompts: int, are_notes: bool) -> budget.Call:
        longest = self.reader.prompter.longest
        if are_notes:
            return budget.Call(prompts, longest, self.note, list(self.writer.options.profiles)[-1])
        return budget.Call(prompts, longest, self.most)


def rounds(tokens: int, room: int, note: int, options: hierarchy.Options, mode: Mode) -> list[int]:
    """How many passages each round of `mode` has, for a text of `tokens` that fills them and answers of `note` tokens.

    The last round's answer is the summary, of whatever length.
    """
    if mode in ("truncate", "extract") or tokens <= room:
        return [1]
    if mode == "refine":
        past = int(min(options.keep, 0.5) * room)
        return [1] * math.ceil(tokens / max(1, room - past - options.overlap_tokens))
    return shrinking(math.ceil(tokens / max(1, room - options.overlap_tokens)), room, note, options)


def shrinking(passages: int, room: int, note: int, options: hierarchy.Options) -> list[int]:
    """How many passages each level has, from one of so many up to the summary."""
    found = [passages]
    while found[-1] > 1 and len(found) < options.max_depth:
        found.append(max(1, min(found[-1] - 1, math.ceil(found[-1] * note / room))))
    return found
