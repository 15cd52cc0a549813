"""How near the sentences of a summary are to something that the source says.

    support    mean over the summary's sentences of the highest cosine with any passage of the source, -1 to 1
    supported  share of sentences whose highest cosine is at least `threshold`, 0 to 1

A passage is a sentence of the source, or two in a row (the mean of their embeddings: one fact is often told in two).
Embeddings are those of the project's sentence encoder (Reimers & Gurevych 2019, arXiv:1908.10084). A "sentence" of more
than 60 words, such as captions without punctuation are, is cut into pieces of 60. A summary or source without a
sentence has 0 of both: silence is not rewarded.

This is a proxy. The encoder hears what a sentence is about, hardly who did it, how many, or whether it is denied: see
docs/FAITHFULNESS.md, which has its AUC on perturbed summaries and says how the threshold was chosen. Copying the source
gives 1.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from pydantic import Field

from breviary import config
from breviary.data.sentences import Span, pieces, spans
from breviary.evaluate import measured

# The lowest cosine that still counts as support. Chosen by `python -m bench.faithfulness` on half of the documents of
# three corpora (the sample, papers, meetings) with all-MiniLM-L6-v2: it parts best the sentences of references with
# their own source from sentences of other documents' references with this source. See metrics/faithfulness.json.
THRESHOLD = 0.5
LONGEST = 60  # words
HIGHER_IS_BETTER: dict[str, bool | None] = {"support": True, "supported": True}

Encode = Callable[[Sequence[str]], Float[ndarray, "texts width"]]  # rows of unit length


class Options(config.Options):
    """The threshold is for all-MiniLM-L6-v2; another encoder needs another one."""

    kind: Literal["support"]
    threshold: float = Field(default=THRESHOLD, ge=-1, le=1)


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric, which loads the encoder when it is first used."""

    def scored(texts: Sequence[measured.Texts]) -> list[dict[str, float]]:
        from breviary.model import encoder

        loaded = encoder.load(given.encoder())
        return score(texts, lambda sentences: loaded.encode(sentences).numpy(), options.threshold)

    passages = "sentences, and the mean of two in a row"
    settings = {"encoder": given.encoder_id(), "passages": passages, "threshold": options.threshold, "words": LONGEST}
    return measured.Metric(scored, settings, against="source")


def score(texts: Sequence[measured.Texts], encode: Encode, threshold: float) -> list[dict[str, float]]:
    """Support of each summary; nothing is encoded twice."""
    found = nearest([(text.summary, text.source) for text in texts], encode)
    return [
        {"support": float(best.mean()), "supported": float((best >= threshold).mean())}
        if best.size
        else dict.fromkeys(HIGHER_IS_BETTER, 0.0)
        for best in found
    ]


def nearest(pairs: Sequence[tuple[str, str]], encode: Encode) -> list[Float[ndarray, " sentences"]]:
    """For each (summary, source), the highest cosine of each sentence of the summary; none where either has none."""
    cut = {text: sentences(text) for text in sorted({text for pair in pairs for text in pair})}
    distinct = sorted({sentence for found in cut.values() for sentence in found})
    if not distinct:
        return [np.zeros(0) for _ in pairs]
    vectors, row = encode(distinct), {sentence: number for number, sentence in enumerate(distinct)}
    rows = {text: [row[sentence] for sentence in found] for text, found in cut.items()}
    sources = {source: _passages(vectors[rows[source]]) for source in {source for _, source in pairs} if rows[source]}
    return [
        (vectors[rows[summary]] @ sources[source].T).max(axis=1).astype(float)
        if rows[summary] and source in sources
        else np.zeros(0)
        for summary, source in pairs
    ]


def sentences(text: str) -> list[str]:
    """The sentences of `text` on one line each, too long ones in pieces."""
    cut = (piece for span in spans(text) for piece in pieces(text, span, _words, limit=LONGEST, size=LONGEST))
    found = (" ".join(text[start:end].split()) for start, end in cut)
    return [sentence for sentence in found if any(character.isalnum() for character in sentence)]


def _words(text: str) -> list[Span]:
    return [match.span() for match in re.finditer(r"\S+", text)]


def _passages(sentences: Float[ndarray, "sentences width"]) -> Float[ndarray, "passages width"]:
    """Each sentence, and each two in a row."""
    two = sentences[:-1] + sentences[1:]
    return np.concatenate([sentences, two / np.linalg.norm(two, axis=1, keepdims=True).clip(min=1e-6)])
