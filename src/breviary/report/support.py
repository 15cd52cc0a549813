"""Which sentence of the source a sentence of a summary rests on, judged by the words they share; no model is loaded.

    support(s, t) = sum of idf(w) over the stems w of s that t has / sum of idf(w) over the stems w of s
    idf(w)        = log(1 + (n - df(w) + 1/2) / (df(w) + 1/2))

n: sentences of the source; df(w): how many of them have w. So a word of every sentence counts next to nothing, and a
word that the source does not have at all counts most, against every sentence. 1 means that all of s is in t. It is a
pointer for a reader, not a verdict: a paraphrase shares few words, and a swapped number few words less.

idf: Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", section 3.1, in the form that
never is negative.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

from breviary.evaluate.words import sentences, stems

LONGEST = 80  # words of a sentence; speech without punctuation comes as one sentence of any length
WINDOW = 40  # words that such a sentence is cut into


@dataclass(frozen=True)
class Supported:
    """A sentence of a summary, and the passage of the source that shares most with it."""

    sentence: str
    passage: str  # "" where no passage shares a word
    place: int  # of the passage in the source, from 1; 0 where there is none
    share: float  # 0 to 1


def align(summary: str, source: str) -> list[Supported]:
    """Each sentence of `summary` with the passage that supports it best; of equals, the earliest."""
    texts = list(passages(source))
    bags = [frozenset(stems(text)) for text in texts]
    weights = _Weights(bags)
    return [_best(sentence, texts, bags, weights) for sentence in sentences(summary)]


def passages(source: str) -> Iterator[str]:
    """The sentences of `source`; one of more than `LONGEST` words in runs of `WINDOW` words."""
    for sentence in sentences(source):
        words = sentence.split()
        if len(words) <= LONGEST:
            yield sentence
        else:
            yield from (" ".join(words[at : at + WINDOW]) for at in range(0, len(words), WINDOW))


class _Weights:
    """idf over passages."""

    def __init__(self, bags: Sequence[frozenset[str]]) -> None:
        self._count = len(bags)
        self._with = Counter(stem for bag in bags for stem in bag)

    def total(self, stems: frozenset[str]) -> float:
        return sum((self._of(stem) for stem in sorted(stems)), 0.0)  # sorted: the last bit depends on the order

    def _of(self, stem: str) -> float:
        found = self._with[stem]
        return log(1 + (self._count - found + 0.5) / (found + 0.5))


def _best(sentence: str, texts: Sequence[str], bags: Sequence[frozenset[str]], weights: _Weights) -> Supported:
    own = frozenset(stems(sentence))
    whole = weights.total(own)
    shares = [weights.total(own & bag) / whole if whole else 0.0 for bag in bags]
    top = max(shares, default=0.0)
    if top <= 0.0:
        return Supported(sentence, "", 0, 0.0)
    place = shares.index(top)
    return Supported(sentence, texts[place], place + 1, round(top, 4))
