"""Truncate: summarise the beginning that fits one call. It is what training and evaluation do with a long document.

The text is handed over whole and cut by the prompt, by token ids, as in training.
"""

from breviary.data.sentences import Span
from breviary.errors import DataError
from breviary.summarise import passages
from breviary.summarise.levels import Asked, Asking, Given, deduplicated, digest, summary
from breviary.summarise.map_reduce import NOTHING


def asking(text: str, given: Given) -> Asking:
    """Ask once, for a summary of the beginning of `text`. Raises DataError where there is no token."""
    run = passages.source(text, given.offsets, room=given.room)
    chunks: list[Span] = []
    found = passages.numbered(passages.group(run, given.offsets, room=given.room), chunks)
    first = next(found, None)
    if first is None:
        raise DataError(NOTHING)
    total = given.count(text.strip())
    answer = (yield Asked([text]))[0]
    return summary(
        deduplicated(digest(first, answer, given), given),
        chunks,
        given,
        levels=1,
        calls=1,
        read=min(total, given.room),
        coverage=min(total, given.room) / total,
    )
