"""chrF: character n-grams that summary and reference share, so that an inflected word is not a miss. From 0 to 100.

    chrF = 100 * (1 + b^2) PR / (b^2 P + R),   b = 2

P, R: matched over all n-grams of the summaries and of the references, mean over n = 1..6, spaces left out; recall
counts twice as much as precision. Popović 2015, doi:10.18653/v1/W15-3049, as computed by SacreBLEU, whose signature is
in the settings. Any script is read, since there are no words to find.

    chrf           the corpus figure: from the sums of all documents, with its own interval
    chrf_sentence  one document's

An empty summary scores 0. Without a reference a document has no score and adds nothing to the corpus.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.words import words

ORDER = 6  # characters
BETA = 2
HIGHER_IS_BETTER: dict[str, bool | None] = {"chrf": True, "chrf_sentence": True}


class Options(config.Options):
    """chrF has no settings: figures are comparable only as long as nobody turns a knob."""

    kind: Literal["chrf"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which needs neither options nor models."""
    from sacrebleu.metrics import CHRF  # pyright: ignore[reportPrivateImportUsage]

    metric = CHRF(char_order=ORDER, beta=BETA)

    def counts(texts: Sequence[measured.Texts]) -> Float[np.ndarray, "documents counts"]:
        found = np.zeros((len(texts), 3 * ORDER))
        for row, text in zip(found, texts, strict=True):
            if words(text.reference):  # the score that is public does not say what it was computed from
                row[:] = metric._extract_corpus_statistics([text.summary], [[text.reference]])[0]
        return found

    def score(texts: Sequence[measured.Texts]) -> list[dict[str, float]]:
        return [{"chrf_sentence": float(value)} for value in values(counts(texts))["chrf"]]

    metric.corpus_score(["-"], [["-"]])  # the signature wants to have seen a reference
    settings = {"measure": "0 to 100", "signature": str(metric.get_signature())}
    return measured.Metric(score, settings, measured.Corpus(counts, values))


def values(sums: Float[np.ndarray, "draws counts"]) -> dict[str, Float[np.ndarray, " draws"]]:
    """chrF of each draw, over the orders of which both sides have an n-gram. A draw without a reference is NaN."""
    said, wanted, shared = (sums[:, place::3] for place in range(3))
    counted = (said > 0) & (wanted > 0)
    orders = np.maximum(counted.sum(axis=1), 1)
    precision = (shared / np.where(counted, said, math.inf)).sum(axis=1) / orders
    recall = (shared / np.where(counted, wanted, math.inf)).sum(axis=1) / orders
    weighted = BETA**2 * precision + recall
    chrf = 100 * (1 + BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1)
    return {"chrf": np.where(wanted.any(axis=1), chrf, np.nan)}
