"""Where a sentence of an answer comes from: the sentences of what was read that say the same words.

    support(s, u) = sum of w(g) over words g of s that u has / sum of w(g) over words g of s,   w(g) = ln(N / n(g))

n(g): of the N sentences that were read, those that have g, so that a word that all have tells nothing. A sentence is
traced to the one that supports it best, and to others at least `NEARLY` as good; where none does, to all that was read.
As what was read knows its own origin, a summary of summaries is traced to characters of the source in the end. That is
where a sentence most likely comes from; that it comes from what was read is certain.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from breviary.data.sentences import Span
from breviary.summarise.passages import Sentence
from breviary.summarise.retrieval import words

NEARLY = 0.8  # of the best support
SOURCES = 4  # places that a sentence is traced to, but for one that is traced to all that was read
GAP = 16  # characters between places that are shown as one


def traced(said: Sequence[Sentence], read: Sequence[Sentence]) -> list[Sentence]:
    """The sentences `said`, each with the places and chunks of those of `read` that it comes from."""
    known = [set(words(each.text)) for each in read]
    having = Counter(word for each in known for word in each)
    weights = {word: math.log(len(read) / count) for word, count in having.items()}
    return [_one(each, read, _support(sorted(set(words(each.text))), known, weights)) for each in said]


def _support(said: list[str], known: list[set[str]], weights: dict[str, float]) -> list[float]:
    """Not divided by the whole: it is only compared with the support of the same sentence elsewhere."""
    return [math.fsum(weights[word] for word in said if word in each) for each in known]


def _one(sentence: Sentence, read: Sequence[Sentence], support: list[float]) -> Sentence:
    best = max(support, default=0.0)
    if best <= 0:
        return joined(sentence, read, limit=None)
    order = sorted((place for place, each in enumerate(support) if each >= NEARLY * best), key=lambda at: -support[at])
    return joined(sentence, [read[place] for place in order[:SOURCES]], limit=SOURCES)


def joined(sentence: Sentence, origins: Iterable[Sentence], *, limit: int | None) -> Sentence:
    """`sentence` with the places and chunks of `origins`, best first; of at most `limit` places."""
    run = list(origins)
    spans = list(dict.fromkeys(span for each in run for span in each.spans))[:limit]
    chunks = {chunk for each in run for chunk in each.chunks}
    return replace(sentence, spans=tuple(_merged(spans)), chunks=tuple(sorted(chunks)))


def _merged(spans: Iterable[Span]) -> list[Span]:
    """`spans` in order, those that touch or nearly so as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + GAP:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
