"""BERTScore: how well the tokens of summary and reference match in meaning, whatever words were chosen.

    bertscore_precision, bertscore_recall, bertscore_f1     mean greatest cosine, see `model/bertscore.py`
    bertscore_*_rescaled                                    (x - b) / (1 - b)

Any two sentences are alike to some degree, so raw values fill a narrow band (0.83 to 1 with roberta-large). b is what
random pairs of sentences score with the same encoder and layer: rescaled, 0 is chance and 1 the same text. It changes
no order of models. Zhang et al. 2020, arXiv:1904.09675, section 3 and the note on rescaling of their library.
b is found by the hash of the weights in `bertscore_baselines/` (measured by `bench/bertscore_baseline.py`), else by the
name of the model in the authors' library; where neither has it, the rescaled numbers are NaN. Long texts match
better by chance than the single sentences that b is made of: references of two documents of the bundled corpus still
score 0.18 (papers) and 0.13 (talks) rescaled, 30 pairs each.

Figures are comparable only with the same encoder, layer and baseline: all are in the settings, the weights by hash.
Texts are read up to 512 tokens. An empty summary scores 0, and rescaled what 0 becomes, which is below 0. Without a
reference the score is NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Literal

from pydantic import Field

from breviary import artifacts, config
from breviary.errors import ConfigError
from breviary.evaluate import measured
from breviary.evaluate.words import words

BASELINES = Path(__file__).with_name("bertscore_baselines")
KINDS = ("precision", "recall", "f1")
RAW = [f"bertscore_{kind}" for kind in KINDS]
RESCALED = [f"{name}_rescaled" for name in RAW]
HIGHER_IS_BETTER: dict[str, bool | None] = dict.fromkeys((*RAW, *RESCALED), True)


class Options(config.Options):
    """Which encoder, and the layer whose states are compared (0: embeddings)."""

    kind: Literal["bertscore"]
    encoder: str | None  # null: section `encoder`; else owner/model@commit of the hub, or a folder
    layer: int | None = Field(ge=0, le=200)  # null: the authors' choice for a model that they list, else the last


@dataclass(frozen=True)
class Encoder:
    """The encoder that was chosen, before its weights are read."""

    folder: Path
    name: str  # for people, and in the authors' lists
    weights: str  # the start of the sha256 of each file of weights


def build(options: Options, given: measured.Given) -> measured.Metric:
    """The metric. The encoder is found now, and loaded when the first summary is scored.

    Raises ConfigError or ModelError where there is no such encoder or layer.
    """
    from breviary.model import bertscore

    encoder = chosen(options.encoder, given)
    last = bertscore.layers(encoder.folder)
    layer = options.layer
    if layer is None:
        layer = last if options.encoder is None else bertscore.recommended(encoder.name, last)
    if layer > last:
        raise ConfigError(f"evaluate.metrics: bertscore.layer: {encoder.name} has layers 0 to {last}, got {layer}")
    chance, source = baseline(encoder, layer)

    def score(texts: Sequence[measured.Texts]) -> list[dict[str, float]]:
        places = [at for at, text in enumerate(texts) if words(text.reference)]
        full = [at for at in places if words(texts[at].summary)]
        pairs = [(texts[at].summary, texts[at].reference) for at in full]
        found = bertscore.load(encoder.folder, [layer]).scores(pairs)[0].tolist() if full else []
        raw = {at: [0.0] * len(KINDS) for at in places} | dict(zip(full, found, strict=True))
        return [_named(raw.get(at), chance) for at in range(len(texts))]

    settings = {
        "encoder": encoder.name,
        "weights": encoder.weights,
        "layer": layer,
        "idf": False,
        "tokens": bertscore.MAX_TOKENS,
        "baseline": source,
        "tested against": f"bert_score {version('bert-score')}",
        "transformers": version("transformers"),
    }
    if chance:
        settings["baseline values"] = dict(zip(KINDS, chance, strict=True))
    return measured.Metric(score, settings)


def chosen(encoder: str | None, given: measured.Given) -> Encoder:
    """The encoder that the option names: the project's own, a commit of the hub, or a folder."""
    if encoder is None:
        return Encoder(given.encoder(), "section encoder", given.encoder_id())
    from breviary.model import bertscore

    folder = bertscore.find(encoder)
    return Encoder(folder, encoder.partition("@")[0], bertscore.weights(folder))


def baseline(encoder: Encoder, layer: int) -> tuple[list[float] | None, str]:
    """What chance scores (P, R, F1) with this encoder and layer, and whose figures they are."""
    own = BASELINES / f"{encoder.weights}.json"
    if own.is_file():
        return [artifacts.read_json(own)["layers"][str(layer)][kind] for kind in "PRF"], f"breviary {own.name}"
    authors = distribution("bert-score").locate_file("bert_score/rescale_baseline/en")  # read, not imported: 5 s
    for name in (encoder.name, encoder.name.rpartition("/")[2]):
        theirs = Path(str(authors)) / f"{name}.tsv"
        if theirs.is_file():
            rows = [line.split(",") for line in theirs.read_text(encoding="utf-8").split()[1:]]
            values = {int(row[0]): [float(value) for value in row[1:]] for row in rows}
            return values.get(layer), f"bert_score {version('bert-score')} en/{name}.tsv"
    return None, "none: rescaled numbers are missing"


def _named(raw: Sequence[float] | None, chance: Sequence[float] | None) -> dict[str, float]:
    """The six numbers by name; NaN where there is no reference, or no baseline."""
    if raw is None:
        return dict.fromkeys(HIGHER_IS_BETTER, math.nan)
    rescaled = [(x - b) / (1 - b) for x, b in zip(raw, chance, strict=True)] if chance else [math.nan] * len(KINDS)
    return dict(zip((*RAW, *RESCALED), (*raw, *rescaled), strict=True))
