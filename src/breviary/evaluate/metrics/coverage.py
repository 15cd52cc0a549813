"""Which part of the source a summary is about: the share of its sentences that each third of the source supports.

    coverage_early, coverage_middle, coverage_late   sentences of the summary whose best support lies in that third
    coverage_none                                    sentences that nothing supports; the four add up to 1

The support of a summary sentence s by a source sentence u is the share of what s says that u says as well:

    support(s, u) = sum of w(g) over g in s and u / sum of w(g) over g in s,   w(g) = ln(N / n(g))

g: distinct stems and pairs of adjacent stems; n(g): of the N source sentences, those that have g (1 for a g that none
has, so that what is invented weighs as much as what is rarest, and "the" next to nothing). The best support is the
greatest one, of equals the earliest; below `LEAST` it counts as none. Speech may come without full stops, so a source
sentence of more than `LONGEST` words is cut into runs of that many. A sentence lies in the third where the middle of
its words is, thirds being of the source's words.

`LEAST` parts little from much, not true from false: of 60 documents each of news, papers, lectures and the bundled
corpus, 99, 98, 92 and 53 percent of the references' sentences reach it, and 32, 40, 65 and 11 percent of sentences from
the reference of another document.

None is better high or low: news says most at its beginning, a talk anywhere, and the row `reference` of the table shows
where people looked. A model that only reads beginnings shows at once. (On lead bias see Kedzie et al. 2018,
arXiv:1810.12343.) A summary without a word, or a source of fewer than three sentences: NaN.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.words import sentences, stems

THIRDS = ("coverage_early", "coverage_middle", "coverage_late")
NONE = "coverage_none"
LONGEST = 50  # words
LEAST = 0.1
HIGHER_IS_BETTER: dict[str, bool | None] = dict.fromkeys((*THIRDS, NONE))
SETTINGS = {
    "support": "share of a summary sentence's stems and stem pairs, weighted ln(N / n), in one source sentence",
    "least support": LEAST,
    "longest source sentence": f"{LONGEST} words",
    "thirds": "of the source's words, by the middle of the sentence",
}

Gram = str | tuple[str, str]


class Options(config.Options):
    """Coverage has no settings."""

    kind: Literal["coverage"]


@dataclass(frozen=True)
class Source:
    """The sentences of a source, looked up by what they say."""

    third: list[int]  # of each sentence: 0, 1 or 2
    sentences_of: dict[Gram, list[int]]  # in the order of the source

    def support(self, said: Sequence[str]) -> tuple[float, int]:
        """The best support of the stems `said`, and the third that it is in."""
        count = len(self.third)
        total, shared = 0.0, Counter[int]()
        for gram in sorted(_grams(said), key=str):  # a sum of floats depends on its order, and that of a set is chance
            places = self.sentences_of.get(gram, [])
            weight = math.log(count / max(len(places), 1))
            total += weight
            shared.update(dict.fromkeys(places, weight))
        if not shared or not total:
            return 0.0, 0
        best = min(shared, key=lambda place: (-shared[place], place))
        return shared[best] / total, self.third[best]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    return measured.Metric(measured.each(score), SETTINGS)


def score(prediction: str, reference: str, source: str) -> dict[str, float]:
    """The share of summary sentences that each third of the source supports; the reference is not looked at."""
    said = [found for sentence in sentences(prediction) if (found := stems(sentence))]
    known = read(source)
    if not said or len(known.third) < len(THIRDS):
        return dict.fromkeys(HIGHER_IS_BETTER, math.nan)
    placed = Counter(NONE if support < LEAST else THIRDS[third] for support, third in map(known.support, said))
    return {name: placed[name] / len(said) for name in HIGHER_IS_BETTER}


@lru_cache(maxsize=1)  # the summaries of one document come one after another
def read(source: str) -> Source:
    """The sentences of `source`, each in its third, by their stems and stem pairs."""
    lines = [stems(sentence) for sentence in sentences(source)]
    units = [line[at : at + LONGEST] for line in lines for at in range(0, len(line), LONGEST)]
    total, before = sum(map(len, units)), 0
    third: list[int] = []
    places: dict[Gram, list[int]] = {}
    for number, unit in enumerate(units):
        third.append(int(len(THIRDS) * (before + len(unit) / 2) / total))  # the middle is never at the very end
        before += len(unit)
        for gram in _grams(unit):
            places.setdefault(gram, []).append(number)
    return Source(third, places)


def _grams(unit: Sequence[str]) -> set[Gram]:
    return {*unit, *pairwise(unit)}
