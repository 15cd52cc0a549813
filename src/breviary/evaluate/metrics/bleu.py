"""BLEU: n-grams of the summary that stand in the reference, over the whole corpus. From 0 to 100.

    BLEU = BP * exp(mean over n = 1..4 of log p_n),   BP = min(1, exp(1 - r / c))

p_n: matched over all n-grams of all summaries, in percent; c, r: words of all summaries and of all references. A corpus
figure is a function of sums and not a mean of documents, so it has its own interval, from sums drawn again.
Papineni et al. 2002, doi:10.3115/1073083.1073135; Post 2018, arXiv:1804.08771, whose signature is in the settings.

    bleu           the corpus figure, comparable with published SacreBLEU of the same signature
    bleu_sentence  one document's, with the orders that a short text can have (effective order); its mean is no BLEU

An empty summary scores 0. Without a reference a document has no score and adds nothing to the corpus.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from breviary import config
from breviary.evaluate import measured
from breviary.evaluate.words import words

ORDER = 4
HIGHER_IS_BETTER: dict[str, bool | None] = {"bleu": True, "bleu_sentence": True}


class Options(config.Options):
    """How text becomes words: 13a is what published figures use; char or zh for scripts without spaces."""

    kind: Literal["bleu"]
    tokenize: Literal["13a", "intl", "char", "zh"]


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric; no model is needed."""
    from sacrebleu.metrics import BLEU  # pyright: ignore[reportPrivateImportUsage]

    corpus = BLEU(tokenize=options.tokenize)
    sentence = BLEU(tokenize=options.tokenize, effective_order=True)

    def measure(text: measured.Texts) -> Any:
        return sentence.sentence_score(text.summary, [text.reference])

    def score(texts: Sequence[measured.Texts]) -> list[dict[str, float]]:
        return [{"bleu_sentence": measure(text).score if words(text.reference) else math.nan} for text in texts]

    def counts(texts: Sequence[measured.Texts]) -> Float[np.ndarray, "documents counts"]:
        found = np.zeros((len(texts), 2 + 2 * ORDER))
        for row, text in zip(found, texts, strict=True):
            if words(text.reference):
                of = measure(text)
                row[:] = [of.sys_len, of.ref_len, *of.counts, *of.totals]
        return found

    settings = {
        "measure": "0 to 100",
        "bleu": signature(corpus),
        "bleu_sentence": signature(sentence),
    }
    return measured.Metric(score, settings, measured.Corpus(counts, values))


def signature(metric: Any) -> str:
    """SacreBLEU's signature for one reference. It wants to have seen one first."""
    metric.corpus_score(["-"], [["-"]])
    return str(metric.get_signature())


def values(sums: Float[np.ndarray, "draws counts"]) -> dict[str, Float[np.ndarray, " draws"]]:
    """BLEU of each draw, as SacreBLEU computes it: no match in an order counts as 1/2, 1/4, ... of one (`smooth:exp`).

    A draw without a reference is NaN; without one n-gram that matches, or without any of an order, 0.
    """
    said, wanted, correct, total = sums[:, 0], sums[:, 1], sums[:, 2 : 2 + ORDER], sums[:, 2 + ORDER :]
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = np.cumsum(correct == 0, axis=1)
        precision = 100 * np.where(correct > 0, correct, 0.5**missed) / total
        brevity = np.exp(np.minimum(0, 1 - wanted / said))
        bleu = brevity * np.exp(np.log(precision).mean(axis=1))
    possible = (correct > 0).any(axis=1) & (total > 0).all(axis=1)
    return {"bleu": np.where(wanted > 0, np.where(possible, bleu, 0.0), np.nan)}
