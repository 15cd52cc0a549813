"""METEOR: words of the summary aligned with words of the reference, recall first, less for words out of order. 0 to 1.

    (1 - gamma (chunks / matches)^beta) * PR / (alpha P + (1 - alpha) R),   alpha = 0.9, beta = 3, gamma = 0.5

matches: words aligned one to one, first equal ones, then those with the same Porter stem, then, where asked for, those
that WordNet lists as synonyms. P, R: matches over the words of the summary and of the reference. chunks: runs of
matches that are adjacent and in the same order in both. Lavie & Agarwal 2007, "METEOR: an automatic metric for MT
evaluation with high levels of correlation with human judgments", with the parameters of nltk.

Computed by nltk on words as `evaluate/words.py` cuts them. It aligns greedily from the end, and looks up the synonyms
of stems rather than of words, so its figures are close to, and not the same as, those of the Java METEOR (1.5), and
never to be set beside them. Without WordNet the synonym stage finds nothing; that is another measure, so it has another
name: `meteor_exact_stem` with `synonyms: none`, `meteor` with `synonyms: wordnet`.

An empty summary scores 0. Without a reference the score is NaN.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Literal

from breviary import config
from breviary.errors import ConfigError
from breviary.evaluate import measured
from breviary.evaluate.words import words

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
NAMES = {"none": "meteor_exact_stem", "wordnet": "meteor"}
HIGHER_IS_BETTER: dict[str, bool | None] = {"meteor_exact_stem": True, "meteor": True}  # one of them, see `synonyms`


class Options(config.Options):
    """Whether synonyms count, which needs nltk's copy of WordNet on this machine."""

    kind: Literal["meteor"]
    synonyms: Literal["none", "wordnet"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric. Raises ConfigError if WordNet is asked for and is not here."""
    wordnet: Any = _wordnet() if options.synonyms == "wordnet" else _NoSynonyms()
    name, stemmer = NAMES[options.synonyms], _Stemmer()

    def score(prediction: str, reference: str, source: str) -> dict[str, float]:
        wanted = words(reference)
        return {name: _aligned(words(prediction), wanted, stemmer, wordnet) if wanted else math.nan}

    settings = {
        "implementation": f"nltk {version('nltk')}",
        "measure": f"{name}, 0 to 1",
        "stages": ["exact", "Porter stem (nltk's extensions)", *(["WordNet"] if name == "meteor" else [])],
        "parameters": {"alpha": ALPHA, "beta": BETA, "gamma": GAMMA},
        "words": "lower case, runs of letters, marks and digits after NFKC",
    }
    if name == "meteor":
        settings["wordnet"] = str(wordnet.get_version())
    return measured.Metric(measured.each(score), settings)


def _aligned(said: Sequence[str], wanted: Sequence[str], stemmer: Any, wordnet: Any) -> float:
    """nltk's METEOR of words that are in lower case already."""
    from nltk.translate.meteor_score import single_meteor_score  # imports nltk, which is slow

    return float(
        single_meteor_score(wanted, said, stemmer=stemmer, wordnet=wordnet, alpha=ALPHA, beta=BETA, gamma=GAMMA)
    )


class _NoSynonyms:
    """WordNet in the shape that nltk asks, without a word in it."""

    def synsets(self, word: str) -> list[Any]:
        return []


class _Stemmer:
    """nltk's Porter stemmer, which reads each word once."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer

        self.stem = lru_cache(maxsize=1 << 16)(PorterStemmer().stem)


def _wordnet() -> Any:
    """nltk's reader of the WordNet that is installed."""
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        raise ConfigError(
            "evaluate.metrics: meteor.synonyms: nltk finds no WordNet on this machine\n"
            "fetch it with `python -m nltk.downloader wordnet`, or write `synonyms: none` (scores meteor_exact_stem)"
        ) from None
    return wordnet
