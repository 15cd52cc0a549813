"""Map-reduce: summarise every chunk, then the summaries, and so on upwards until one call holds them all.

Every token of the source reaches the model once (and the overlap twice), every token of a level once in the next one.
"""

from breviary.data.sentences import Span
from breviary.errors import DataError, ModelError
from breviary.summarise import passages
from breviary.summarise.levels import Asking, Given, Level, level, source, summary

NOTHING = "a document without a single token cannot be summarised"


def asking(text: str, given: Given) -> Asking:
    """Ask for what it takes to summarise `text`.

    Raises DataError where there is no token, ModelError where a level is not shorter than the one below it, or where
    `given.max_depth` levels do not do.
    """
    chunks: list[Span] = []
    levels = [(yield from level(source(text, given, chunks, given.room), given))]
    if not levels[0].calls:
        raise DataError(NOTHING)
    while levels[-1].calls > 1:
        _require_progress(levels, given)
        run = passages.group(levels[-1].sentences, given.offsets, room=given.room)
        levels.append((yield from level(run, given)))
    return summary(
        levels[-1].sentences,
        chunks,
        given,
        levels=sum(each.calls > 0 for each in levels),
        calls=sum(each.calls for each in levels),
        read=sum(each.read for each in levels),
        coverage=1.0,
    )


def _require_progress(levels: list[Level], given: Given) -> None:
    below, left = levels[-1], sum(each.tokens for each in levels[-1].sentences)
    if left >= below.tokens:
        raise ModelError(
            f"level {len(levels)}: {below.calls} summaries have {left} tokens and what they summarise has "
            f"{below.tokens}; they must be shorter: lower hierarchy.keep ({given.keep:g}) or predict.max_new_tokens"
        )
    if len(levels) >= given.max_depth:
        raise ModelError(
            f"{len(levels)} levels leave {left} tokens, of which {given.room} fit a prompt; raise hierarchy.max_depth "
            f"({given.max_depth}) or prompt.max_tokens, or lower hierarchy.keep ({given.keep:g})"
        )
