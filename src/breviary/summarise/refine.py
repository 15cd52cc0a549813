"""Refine: read on, and rewrite the summary so far with every chunk. One call after another, each with its past.

The summary so far takes at most the share `keep` of the room, and at most half; chunks take the rest.
"""

from collections.abc import Iterator
from itertools import islice

from breviary.data.sentences import Span
from breviary.errors import DataError
from breviary.summarise.levels import Asked, Asking, Given, deduplicated, digest, source, summary
from breviary.summarise.map_reduce import NOTHING
from breviary.summarise.passages import SMALLEST_ROOM, Passage, Sentence, joined


def asking(text: str, given: Given) -> Asking:
    """Ask for what it takes to summarise `text`. Raises DataError where there is no token."""
    past = min(int(min(given.keep, 0.5) * given.room), given.room - SMALLEST_ROOM)
    alone = len(list(islice(source(text, given, [], given.room), 2))) == 1
    chunks: list[Span] = []
    so_far: list[Sentence] = []
    calls = read = 0
    for chunk, is_last in _marked(source(text, given, chunks, given.room if alone else given.room - past)):
        passage = _after(so_far, chunk, given)
        answer = (yield Asked([passage.text]))[0]
        calls, read = calls + 1, read + given.count(passage.text)
        found = digest(passage, answer, given, limit=None if is_last else past)
        so_far = deduplicated(found, given) or so_far  # an empty answer takes nothing back
    if not calls:
        raise DataError(NOTHING)
    return summary(so_far, chunks, given, levels=calls, calls=calls, read=read, coverage=1.0)


def _after(so_far: list[Sentence], chunk: Passage, given: Given) -> Passage:
    """The summary so far and `chunk`. Its last sentences are left out where a tokenizer counts them higher together."""
    for kept in range(len(so_far), -1, -1):
        run = [*so_far[:kept], *chunk.sentences]
        if given.count(joined(run)) <= given.room:
            return Passage(joined(run), run, kept + chunk.repeated)
    return chunk


def _marked(run: Iterator[Passage]) -> Iterator[tuple[Passage, bool]]:
    """Each passage, and whether it is the last."""
    before = next(run, None)
    for passage in run:
        if before is not None:
            yield before, False
        before = passage
    if before is not None:
        yield before, True
