"""From a text of any length to passages that fit one call of the model, and from an answer back to sentences.

A `Sentence` is the unit of everything: of the source first (or a piece of one that is too long), then of summaries. It
knows which characters of the source and which chunks of it it stands for. A `Passage` is a run of sentences that fits
`room` tokens, counted by the model's own tokenizer on the very text that is sent.

Everything here streams: a text is split into sentences `BLOCK` characters at a time, and passages need two rooms of
look-ahead, so that memory does not grow with the text. Every sentence is fresh in exactly one passage; `overlap` lets a
passage begin with whole sentences of the one before it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from breviary.data import sentences
from breviary.data.sentences import Offsets, Span
from breviary.errors import ConfigError

BLOCK = 1 << 14  # characters that are split into sentences at a time
PIECES = 4  # a sentence that is too long is cut so finely that at most a quarter of a passage stays empty
SMALLEST_ROOM = 16  # tokens
ENDLESS = 1 << 30  # tokens
SPACE = re.compile(r"\s{0,99}")


@dataclass(frozen=True)
class Sentence:
    """One sentence, or a piece of one, with the white space that follows it."""

    text: str
    tokens: int  # of the text without white space around it
    spans: tuple[Span, ...] = ()  # characters of the source it stands for; none: all of its chunks
    chunks: tuple[int, ...] = ()  # positions of the source chunks it stands for, ascending


@dataclass(frozen=True)
class Passage:
    """A run of sentences for one call; the first `repeated` of them were in the passage before, too."""

    text: str
    sentences: list[Sentence]
    repeated: int

    @property
    def fresh(self) -> list[Sentence]:
        """The sentences that no earlier passage had."""
        return self.sentences[self.repeated :]

    @property
    def tokens(self) -> int:
        """Tokens of the fresh sentences."""
        return sum(each.tokens for each in self.fresh)

    @property
    def chunks(self) -> tuple[int, ...]:
        """The chunks that its sentences stand for."""
        return tuple(sorted({chunk for each in self.sentences for chunk in each.chunks}))


def source(text: str, offsets: Offsets, *, room: int, overlap: int = 0) -> Iterator[Sentence]:
    """The sentences of a source, none of more than `room` tokens; what has no token at all is left out.

    A longer one is cut between words, finely enough that passages can overlap inside it.
    """
    size = max(1, min(room // PIECES, overlap or room))
    for span in _spans(text):
        body = _stripped(text, span)
        if body[0] == body[1]:
            continue
        tokens = len(offsets(text[slice(*body)]))
        if tokens > room:
            for piece in sentences.pieces(text, body, offsets, limit=0, size=size):
                yield from _sentence(text, _stripped(text, piece), offsets)
        else:
            yield from _sentence(text, body, offsets)


def _sentence(text: str, body: Span, offsets: Offsets) -> Iterator[Sentence]:
    words = text[slice(*body)]
    if tokens := len(offsets(words)):
        yield Sentence(words + _separator(text, body[1]), tokens, (body,))


def _stripped(text: str, span: Span) -> Span:
    """`span` without the white space at its ends."""
    inside = text[slice(*span)]
    start = span[0] + len(inside) - len(inside.lstrip())
    return start, max(start, span[1] - len(inside) + len(inside.rstrip()))


def _separator(text: str, place: int) -> str:
    """The kind of white space at `place`, but never a page of it; a piece of a long word ends without any."""
    space = SPACE.match(text, place)[0]  # type: ignore[index]
    return "\n\n" if space.count("\n") > 1 else "\n" if "\n" in space else " " if space else ""


def _spans(text: str) -> Iterator[Span]:
    """The sentences of `text`, a block at a time. The last one of a block is read again with the next block."""
    start = 0
    while start < len(text):
        end = start + BLOCK
        if end < len(text):  # not inside a word, where there is a choice
            end = 1 + next((at for at in range(end - 1, start, -1) if text[at].isspace()), end - 1)
        found = [(start + first, start + last) for first, last in sentences.spans(text[start:end])]
        whole = found[:-1] if end < len(text) and len(found) > 1 else found
        yield from whole
        start = whole[-1][1] if whole else end


def split(text: str, offsets: Offsets) -> list[Sentence]:
    """The sentences of a short text, such as a model's answer."""
    return [replace(each, spans=()) for each in source(text, offsets, room=ENDLESS)]


def joined(run: Iterable[Sentence]) -> str:
    """The text of a run of sentences."""
    return "".join(each.text for each in run).strip()


def group(run: Iterable[Sentence], offsets: Offsets, *, room: int, overlap: int = 0) -> Iterator[Passage]:
    """`run` as passages of at most `room` tokens; each sentence is fresh in exactly one of them.

    Passages are filled in order. Where the last would have less than half a room it shares evenly with the one before.
    Raises ConfigError where `overlap` leaves no room to advance.
    """
    if room < SMALLEST_ROOM or not 0 <= overlap < room:
        raise ConfigError(
            f"{overlap} tokens of overlap in passages of {room} tokens: overlap_tokens must be below that room, "
            f"and that be at least {SMALLEST_ROOM} tokens (prompt.max_tokens, prompt.max_summary_tokens)"
        )
    waiting: list[Sentence] = []
    before: list[Sentence] = []
    tokens = 0
    for sentence in run:
        waiting.append(sentence)
        tokens += sentence.tokens
        if tokens > 2 * room:
            before = _repeat(before, overlap)
            passage = _filled(before, waiting, offsets, room)
            yield passage
            before, waiting = passage.sentences, waiting[len(passage.fresh) :]
            tokens -= passage.tokens
    yield from _rest(_repeat(before, overlap), waiting, offsets, room, overlap)


def _rest(
    before: list[Sentence], waiting: list[Sentence], offsets: Offsets, room: int, overlap: int
) -> Iterator[Passage]:
    """The last passages: hardly ever more than two or three, of which the last is not a tiny one."""
    while waiting:
        passage = _filled(before, waiting, offsets, room)
        left = waiting[len(passage.fresh) :]
        if left and sum(each.tokens for each in left) < room // 2:
            half = _half(waiting)
            if half < len(passage.fresh) and _count(waiting[half:], offsets) <= room:
                kept = passage.sentences[: passage.repeated + half]
                passage = Passage(joined(kept), kept, passage.repeated)
                left = waiting[half:]
        yield passage
        before, waiting = _repeat(passage.sentences, overlap), left


def _half(run: list[Sentence]) -> int:
    """How many sentences make up the first half of `run`; at least one, and not all."""
    total, sofar = sum(each.tokens for each in run), 0
    for place, sentence in enumerate(run[:-1], 1):
        sofar += sentence.tokens
        if 2 * sofar >= total:
            return place
    return max(1, len(run) - 1)


def _filled(before: list[Sentence], waiting: list[Sentence], offsets: Offsets, room: int) -> Passage:
    """As many of `waiting` as fit after as much of `before` as leaves room for one of them."""
    repeated = list(before)
    while repeated and _count([*repeated, waiting[0]], offsets) > room:
        repeated.pop(0)  # the next sentence is worth more than the repetition
    taken, tokens = 0, sum(each.tokens for each in repeated)
    while taken < len(waiting) and (not taken or tokens + waiting[taken].tokens <= room):
        tokens += waiting[taken].tokens
        taken += 1
    while _count(run := [*repeated, *waiting[:taken]], offsets) > room:
        if taken == 1:
            raise ConfigError(
                f"one character needs more than the {room} tokens that a prompt has room for; raise prompt.max_tokens"
            )
        taken -= 1  # a sum over sentences can differ by a few tokens from the count of the whole
    return Passage(joined(run), run, len(repeated))


def _count(run: list[Sentence], offsets: Offsets) -> int:
    return len(offsets(joined(run)))


def _repeat(run: list[Sentence], overlap: int) -> list[Sentence]:
    """The last sentences of `run`, of at most `overlap` tokens together, but never all of them."""
    start, tokens = len(run), 0
    while start > 1 and tokens + run[start - 1].tokens <= overlap:
        start -= 1
        tokens += run[start].tokens
    return run[start:]


def numbered(passages: Iterable[Passage], spans: list[Span]) -> Iterator[Passage]:
    """The passages of a source as its chunks: sentences learn in which they stand, and `spans` where each chunk is."""
    for number, passage in enumerate(passages):
        known = [replace(each, chunks=(number,)) for each in passage.sentences]
        spans.append((known[0].spans[0][0], known[-1].spans[-1][1]))
        yield replace(passage, sentences=known)
