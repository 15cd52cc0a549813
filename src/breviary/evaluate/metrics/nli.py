"""Whether the sentences of a summary follow from its source, by a model of natural language inference: SummaC-ZS.

    nli  mean over the summary's sentences of the maximum over the source's passages of
         p(entailment) - p(contradiction), -1 to 1

Laban et al. 2022, arXiv:2111.09525. The authors' code takes the maximum of p(entailment) and that of p(contradiction)
each by itself; there any one passage that contradicts a sentence takes away from it, here the passage that supports it
best decides. Passages are whole sentences of the source in a row, as many as fit beside the hypothesis; an overlong
sentence of the summary is judged in pieces. A summary or source without a sentence has 0 (the metric `length` counts
empty summaries).

A model of this kind is not part of the defaults: it is large, and figures of two models cannot be compared. The model
and the sha256 of its weights are in the settings.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from breviary import artifacts, catalogue, config
from breviary.data.chunks import windows
from breviary.data.sentences import pieces, spans
from breviary.evaluate import measured

if TYPE_CHECKING:
    from breviary.model.nli import Judge

HIGHER_IS_BETTER: dict[str, bool | None] = {"nli": True}
HYPOTHESIS = 0.25  # share of what the model reads at once that is kept for a sentence of the summary
SPARE = 8  # tokens: without the white space around it a text may have one or two more


class Options(config.Options):
    """The model is named as a backbone is: by the hub's name and revision, or inside a package."""

    kind: Literal["nli"]
    model: catalogue.kind_of("breviary.model.backbones")  # pyright: ignore[reportInvalidTypeForm]
    batch_size: int = Field(default=16, ge=1)


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric. The model is fetched here, because its hash belongs to the settings, and loaded when first used."""
    from breviary.model import nli

    folder = nli.fetch(options.model)
    weights = {file.name: artifacts.sha256(file) for file in sorted(folder.glob("*.safetensors"))}
    settings = {
        "nli": "mean over sentences of max over passages of p(entailment) - p(contradiction)",
        "model": options.model.model_dump(),
        "weights": weights,
    }
    return measured.Metric(lambda texts: score(texts, nli.load(folder), options.batch_size), settings, against="source")


def score(texts: Sequence[measured.Texts], judge: "Judge", batch_size: int) -> list[dict[str, float]]:
    """SummaC-ZS of each summary; a passage and a sentence that come together twice are judged once."""
    room = int(HYPOTHESIS * judge.max_tokens)
    rest = judge.max_tokens - room - judge.special_tokens - SPARE
    said = {text: _sentences(text, judge, room) for text in sorted({each.summary for each in texts})}
    passages = {text: _passages(text, judge, rest) for text in sorted({each.source for each in texts})}
    asked = {
        (passage, sentence): 0 for each in texts for sentence in said[each.summary] for passage in passages[each.source]
    }
    row = {pair: number for number, pair in enumerate(asked)}
    values = judge.balance(list(asked), batch_size)
    return [{"nli": _mean(said[each.summary], passages[each.source], row, values)} for each in texts]


def _mean(said: Sequence[str], passages: Sequence[str], row: dict[tuple[str, str], int], values: Any) -> float:
    if not said or not passages:
        return 0.0
    return float(np.mean([max(values[row[passage, sentence]] for passage in passages) for sentence in said]))


def _sentences(text: str, judge: "Judge", size: int) -> list[str]:
    cut = (piece for span in spans(text) for piece in pieces(text, span, judge.offsets, limit=size, size=size))
    found = (" ".join(text[start:end].split()) for start, end in cut)
    return [sentence for sentence in found if any(character.isalnum() for character in sentence)]


def _passages(text: str, judge: "Judge", size: int) -> list[str]:
    return [
        text[start:end]
        for start, end, _ in windows(text, judge.offsets, max_tokens=size, overlap_tokens=0, min_tokens=1)
    ]
