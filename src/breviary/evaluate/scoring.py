"""Every metric of every summary. Beside the models stand three rows that need none: `lead3` and `oracle` (see
`baselines.py`), and `reference`, what people wrote: how long, how new, in which style, and how well their source
supports it, which is what a model can be asked for at most. It has no score against the reference, since against itself
it is perfect.

A score that does not exist (the compression of an empty summary, ROUGE without a reference) is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import ModuleType
from typing import Any

import numpy as np
from tqdm import tqdm

from breviary import catalogue
from breviary.errors import ArtifactError
from breviary.evaluate import baselines, sums
from breviary.evaluate.measured import Corpus, Given, Metric, Texts
from breviary.records import Document, Prediction

METRICS = "breviary.evaluate.metrics"
REFERENCE = "reference"
BASELINES = ("lead3", "oracle", REFERENCE)


@dataclass(frozen=True)
class Scored:
    """All scores of one model's summary of one document; None where there is no such score."""

    document: str
    domain: str
    model: str
    scores: dict[str, float | None]


@dataclass(frozen=True)
class Counted:
    """What the corpus figures of one metric are computed from: for each model, the counts of each document."""

    corpus: Corpus
    counts: dict[str, dict[str, np.ndarray]]

    @property
    def names(self) -> list[str]:
        """The figures."""
        return list(self.corpus.values(next(iter(next(iter(self.counts.values())).values()))[None]))

    def value(self, name: str) -> sums.Value:
        """The figure `name` as a function of sums of counts."""
        return lambda totals: self.corpus.values(totals)[name]


def modules(kinds: Sequence[str]) -> list[ModuleType]:
    """The metrics of these kinds."""
    return [catalogue.resolve(METRICS, kind) for kind in kinds]


def directions_of(metrics: Sequence[ModuleType]) -> dict[str, bool | None]:
    """Every number that the metrics give, and whether higher is better."""
    return {name: higher for metric in metrics for name, higher in metric.HIGHER_IS_BETTER.items()}


def build(options: Sequence[Any], given: Given) -> dict[str, Metric]:
    """The metrics that `options` choose, by kind."""
    return {each.kind: catalogue.resolve(METRICS, each.kind).build(each, given) for each in options}


def score(
    documents: Mapping[str, Document],
    summaries: Mapping[str, Mapping[str, str]],
    metrics: Mapping[str, Metric],
    directions: Mapping[str, bool | None],
) -> tuple[list[Scored], list[Counted]]:
    """Every number of every summary, by document id and in the order of the models; and counts of corpus figures."""
    rows = [(name, model) for name in _ids(summaries) for model in summaries]
    texts = [Texts(summaries[model][name], documents[name].summary, documents[name].text) for name, model in rows]
    found: list[dict[str, float]] = [{} for _ in rows]
    counted, perfect = [], set[str]()
    for kind, metric in (bar := tqdm(metrics.items(), unit="metrics", disable=None)):
        bar.set_description(f"evaluate {kind}")
        measured = metric.score(texts)
        for into, numbers in zip(found, measured, strict=True):
            into |= numbers
        if metric.against == "reference":
            perfect |= {name for name in measured[0] if directions[name] is not None}
        if metric.corpus:
            counted.append(Counted(metric.corpus, _counts(metric.corpus, rows, texts)))
    scored = []
    for (name, model), values in zip(rows, found, strict=True):
        without = perfect if model == REFERENCE else set[str]()
        kept = {key: value if isfinite(value) and key not in without else None for key, value in values.items()}
        scored.append(Scored(name, documents[name].domain, model, kept))
    return scored, counted


def _ids(summaries: Mapping[str, Mapping[str, str]]) -> list[str]:
    return sorted({name for texts in summaries.values() for name in texts})


def _counts(
    corpus: Corpus, rows: Sequence[tuple[str, str]], texts: Sequence[Texts]
) -> dict[str, dict[str, np.ndarray]]:
    """The counts of each model's summaries that have a reference; not those of the references themselves."""
    kept = [
        (row, text) for row, text in zip(rows, texts, strict=True) if text.reference.strip() and row[1] != REFERENCE
    ]
    counts: dict[str, dict[str, np.ndarray]] = {}
    for ((name, model), _), line in zip(kept, corpus.counts([text for _, text in kept]) if kept else [], strict=True):
        counts.setdefault(model, {})[name] = line
    return counts


def collected(
    predictions: Mapping[str, Sequence[Prediction]], documents: Mapping[str, Document]
) -> dict[str, dict[str, str]]:
    """The summaries of each model, by document, baselines last.

    Raises ArtifactError unless every model has answered once for each of the same documents.
    """
    summaries = {model: {each.document: each.summary for each in found} for model, found in predictions.items()}
    wanted = set().union(*summaries.values())
    if not wanted:
        raise ArtifactError("no predictions at all; delete data/predictions and run the predict stages")
    problems = [
        f"{model}: two predictions for one document"
        for model, found in predictions.items()
        if len(found) > len(summaries[model])
    ]
    for model, texts in summaries.items():
        if missing := sorted(wanted - texts.keys()):
            problems.append(
                f"{model}: no prediction for {len(missing)} documents that another model has ({missing[0]}, ...)"
            )
    if unknown := sorted(wanted - documents.keys()):
        problems.append(f"{len(unknown)} predictions are of documents that do not exist ({unknown[0]}, ...)")
    if problems:
        raise ArtifactError(
            "\n".join([*problems, "predictions of different runs are mixed; run the predict stages again"])
        )
    texts = {name: documents[name] for name in sorted(wanted)}
    summaries["lead3"] = {name: baselines.lead(each.text) for name, each in texts.items()}
    summaries["oracle"] = {name: baselines.oracle(each.text, each.summary) for name, each in texts.items()}
    summaries[REFERENCE] = {name: each.summary for name, each in texts.items()}
    return summaries
