"""What can be had without a model: the row that every table needs beside its models.

lead3   the first three sentences. Hard to beat on news, weak on talks, whose opening says little.
oracle  the sentences that, taken greedily, add most to ROUGE-1 + ROUGE-2 F1 with the reference; stops when no sentence
        adds anything. It reads the reference, so it is not a system: it is about as far as copying whole sentences
        can go. Nallapati et al. 2017, arXiv:1611.04230, section 3; in document order.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from breviary.evaluate.words import sentences, stems

LEAD = 3  # sentences

Grams = list[Counter[tuple[str, ...]]]


def lead(text: str, count: int = LEAD) -> str:
    """The first `count` sentences of `text`."""
    return " ".join(sentences(text)[:count])


def oracle(text: str, reference: str) -> str:
    """The sentences of `text` that, taken greedily, come closest to `reference`."""
    candidates = sentences(text)
    tokens = [stems(sentence) for sentence in candidates]
    goal = _grams([stems(reference)])
    chosen: list[int] = []
    best = 0.0
    while True:
        trials = [sorted([*chosen, at]) for at in range(len(candidates)) if at not in chosen]
        gains = [(_closeness(_grams([tokens[at] for at in trial]), goal), trial) for trial in trials]
        top = max((value for value, _ in gains), default=0.0)
        if top <= best:
            return " ".join(candidates[at] for at in chosen)
        best, chosen = top, next(trial for value, trial in gains if value == top)  # of equals, the earliest sentence


def _grams(tokens: Sequence[list[str]]) -> Grams:
    """Unigrams and bigrams of the sentences, counted; a bigram may cross from one sentence to the next."""
    flat = [token for sentence in tokens for token in sentence]
    return [Counter((token,) for token in flat), Counter(pairwise(flat))]


def _closeness(grams: Grams, goal: Grams) -> float:
    """ROUGE-1 F1 + ROUGE-2 F1."""
    return sum(_f1(mine, theirs) for mine, theirs in zip(grams, goal, strict=True))


def _f1(mine: Counter[tuple[str, ...]], theirs: Counter[tuple[str, ...]]) -> float:
    size = mine.total() + theirs.total()  # F1 = 2PR/(P+R) = 2 * shared / (mine + theirs)
    return 2 * (mine & theirs).total() / size if size else 0.0
