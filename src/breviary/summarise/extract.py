"""Extract, then abstract: choose the passages that are central to the document, and summarise them in one call.

Passages are a part of a prompt long (`parts` of them fill it), so that there is something to choose; what is chosen
stands in the order of the source. Most of a long document reaches no model: `coverage` says how much does.
"""

from breviary.data.sentences import Span
from breviary.errors import DataError
from breviary.summarise import passages, retrieval
from breviary.summarise.levels import Asked, Asking, Given, deduplicated, digest, summary
from breviary.summarise.map_reduce import NOTHING
from breviary.summarise.passages import SMALLEST_ROOM, Passage


def asking(text: str, given: Given) -> Asking:
    """Ask once, for a summary of what is central to `text`. Raises DataError where there is no token."""
    room = max(SMALLEST_ROOM, given.room // given.parts)
    chunks: list[Span] = []
    run = passages.source(text, given.offsets, room=room)
    found = list(passages.numbered(passages.group(run, given.offsets, room=room), chunks))
    if not found:
        raise DataError(NOTHING)
    passage = _chosen(found, given)
    answer = (yield Asked([passage.text]))[0]
    total = sum(each.tokens for each in found)
    return summary(
        deduplicated(digest(passage, answer, given), given),
        chunks,
        given,
        levels=1,
        calls=1,
        read=given.count(passage.text),
        coverage=passage.tokens / total,
    )


def _chosen(found: list[Passage], given: Given) -> Passage:
    """The central passages as one that fits."""
    rows = given.similar([each.text for each in found])
    sizes = [max(1, given.count(each.text)) for each in found]
    room = given.room
    while True:
        places = range(len(found)) if sum(sizes) <= room else None
        places = places or retrieval.central(rows, sizes, room, diversity=given.diversity)
        run = [each for place in places for each in found[place].sentences]
        over = given.count(passages.joined(run)) - given.room
        if over <= 0:
            return Passage(passages.joined(run), run, 0)
        room -= over  # what stands between passages has tokens too
