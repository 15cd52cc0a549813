"""ROUGE: how many words, word pairs and word sequences a summary shares with the reference. F1, from 0 to 1.

    F1 = 2PR / (P + R),  P = shared / in the summary,  R = shared / in the reference

rouge1, rouge2: n-grams. rougeL: longest common subsequence of the whole texts. rougeLsum: the union of the longest
common subsequences of each reference sentence with all summary sentences, so sentences are put on lines of their own.
Lin 2004, "ROUGE: a package for automatic evaluation of summaries", sections 2 and 3.

Computed by `rouge_score`. Its last release is of 2022 and nothing newer takes its place: it is the reference
implementation in Python, the one that published figures come from, and it replicates the original ROUGE-1.5.5 with
stemming (-m). Only its tokenizer is replaced, for text beyond ASCII (see `evaluate/words.py`).

An empty summary scores 0. Without a reference the score is NaN: there is nothing to compare with.
"""

import math
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

from breviary import config
from breviary.evaluate import measured, words

HIGHER_IS_BETTER: dict[str, bool | None] = {"rouge1": True, "rouge2": True, "rougeL": True, "rougeLsum": True}
SETTINGS = {
    "implementation": f"rouge_score {version('rouge_score')}",
    "measure": "F1, 0 to 1",
    "stemmer": "Porter, on ASCII words of more than 3 letters",
    "tokenizer": "rouge_score's on ASCII text; elsewhere runs of letters, marks and digits after NFKC",
    "sentences": f"sentencex {version('sentencex')}, for rougeLsum",
}


class Options(config.Options):
    """ROUGE has no settings: figures are comparable only as long as nobody turns a knob."""

    kind: Literal["rouge"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    return measured.Metric(measured.each(score), SETTINGS)


def score(prediction: str, reference: str, source: str) -> dict[str, float]:
    """F1 of each ROUGE; the source is not looked at."""
    if not words.words(reference):
        return dict.fromkeys(HIGHER_IS_BETTER, math.nan)
    measured = _scorer().score(*("\n".join(words.sentences(text)) for text in (reference, prediction)))
    return {name: float(measured[name].fmeasure) for name in HIGHER_IS_BETTER}


class _Stems:
    """The tokenizer in the shape that `rouge_score` calls."""

    def tokenize(self, text: str) -> list[str]:
        return words.stems(text)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # imports nltk, which is slow

    return RougeScorer(list(HIGHER_IS_BETTER), tokenizer=_Stems())
