"""Every model's summary of every test document, scored; then means with intervals, and each model against one of them.

Scores are kept for each document: what a mean hides, and what any paired comparison needs. Beside the models stand
three rows that need none: `lead3` and `oracle` (see `baselines.py`), and `reference`, which says how long, how new and
in which style people wrote. It has no score that can be better or worse: against itself it is perfect. "overall" is the
mean over all documents, whatever their domain, so a domain with more documents weighs more.

A score that does not exist (the compression of an empty summary, ROUGE without a reference) is null in the records and
left out of means, whose `n` says how many documents they are over.

Every mean draws from a generator of its own, made of the seed and its name: one more metric or model changes no digit
of the others.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import Field, model_validator
from tqdm import tqdm

from breviary import catalogue, config
from breviary.errors import ArtifactError, ConfigError, DataError
from breviary.evaluate import baselines, statistics
from breviary.records import Document, Prediction

METRICS = "breviary.evaluate.metrics"
REFERENCE = "reference"
BASELINES = ("lead3", "oracle", REFERENCE)
OVERALL = "overall"

Key = tuple[str, str, str]  # model, domain or OVERALL, metric


class Target(config.Options):
    """The comparison that was chosen before looking: what the run is for."""

    domain: str  # or "overall"
    metric: str
    model: str
    against: str  # every other model is compared with this one too


class Options(config.Options):
    """Section `evaluate`."""

    models: list[str] = Field(min_length=2)
    metrics: list[catalogue.kind_of(METRICS)] = Field(min_length=1)  # pyright: ignore[reportInvalidTypeForm]
    resamples: int = Field(ge=99, le=1_000_000)
    level: float = Field(ge=0.5, le=0.999)
    target: Target

    @model_validator(mode="after")
    def _the_target_is_measured(self) -> "Options":
        names = [option.kind for option in self.metrics]
        doubled = {name for name in (*self.models, *names) if (*self.models, *names).count(name) > 1}
        if doubled:
            raise ConfigError(f"named twice: {', '.join(sorted(doubled))}")
        if clash := [name for name in self.models if name in BASELINES]:
            raise ConfigError(f"models: '{clash[0]}' is always there, leave it out")
        for role in ("model", "against"):
            name = getattr(self.target, role)
            if name not in self.models:
                raise ConfigError(f"target.{role}: '{name}' is not one of models ({', '.join(self.models)})")
        if self.target.model == self.target.against:
            raise ConfigError(f"target.model and target.against are both '{self.target.model}'")
        directions = directions_of(modules(names))
        if directions.get(self.target.metric) is None:
            good = ", ".join(name for name, higher in directions.items() if higher is not None)
            raise ConfigError(
                f"target.metric: '{self.target.metric}' is not one of those that can be better or worse ({good})"
            )
        return self


@dataclass(frozen=True)
class Scored:
    """All scores of one model's summary of one document; None where there is no such score."""

    document: str
    domain: str
    model: str
    scores: dict[str, float | None]


@dataclass(frozen=True)
class Compared:
    """A model against the target's `against`, with p corrected for all comparisons of the same metric."""

    comparison: statistics.Comparison
    p_holm: float


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found."""

    summaries: dict[str, dict[str, str]]  # model -> document id -> summary; models in the order of the table
    scored: list[Scored]
    estimates: dict[Key, statistics.Estimate]
    comparisons: dict[Key, Compared]
    directions: dict[str, bool | None]  # metric -> whether higher is better
    settings: dict[str, Any]


def modules(kinds: Sequence[str]) -> list[ModuleType]:
    """The metrics of these kinds."""
    return [catalogue.resolve(METRICS, kind) for kind in kinds]


def directions_of(metrics: Sequence[ModuleType]) -> dict[str, bool | None]:
    """Every number that the metrics give, and whether higher is better."""
    return {name: higher for metric in metrics for name, higher in metric.HIGHER_IS_BETTER.items()}


def evaluate(
    documents: Sequence[Document],
    split_of: Mapping[str, str],
    predictions: Mapping[str, Sequence[Prediction]],
    options: Options,
    seed: int,
) -> Evaluation:
    """Score, estimate and compare the predictions of each model. No model is loaded."""
    by_id = {document.id: document for document in documents}
    kinds = [option.kind for option in options.metrics]
    metrics, target = modules(kinds), options.target
    summaries = _summaries(predictions, by_id)
    scored = score(by_id, summaries, metrics)
    values = _values(scored)
    if not values.get((target.model, target.domain, target.metric)):
        known = ", ".join([*sorted({each.domain for each in scored}), OVERALL])
        raise DataError(f"evaluate.target: no {target.metric} in domain '{target.domain}' (domains here: {known})")
    chance = {"resamples": options.resamples, "level": options.level}
    estimates = {
        key: statistics.mean(np.array(list(found.values())), statistics.generator(seed, "mean", *key), **chance)
        for key, found in values.items()
    }
    settings = {kind: metric.SETTINGS for kind, metric in zip(kinds, metrics, strict=True)}
    settings["statistics"] = statistics.settings(**chance) | {"seed": seed}
    settings["splits"] = sorted({split_of[each.document] for each in scored})
    comparisons = _compare(values, target.against, seed, chance)
    return Evaluation(summaries, scored, estimates, comparisons, directions_of(metrics), settings)


def score(
    documents: Mapping[str, Document], summaries: Mapping[str, Mapping[str, str]], metrics: Sequence[ModuleType]
) -> list[Scored]:
    """Every metric of every summary, by document id and in the order of the models."""
    ids = sorted({name for texts in summaries.values() for name in texts})
    judging = {metric for metric, higher in directions_of(metrics).items() if higher is not None}
    scored = []
    for name in tqdm(ids, desc="evaluate", unit="documents", disable=None):
        document = documents[name]
        for model, texts in summaries.items():
            found: dict[str, float] = {}
            for metric in metrics:
                found |= metric.score(texts[name], document.summary, document.text)
            without = judging if model == REFERENCE else ()
            kept = {key: value if isfinite(value) and key not in without else None for key, value in found.items()}
            scored.append(Scored(name, document.domain, model, kept))
    return scored


def _summaries(
    predictions: Mapping[str, Sequence[Prediction]], documents: Mapping[str, Document]
) -> dict[str, dict[str, str]]:
    """The summaries of each model, baselines last. Every model must have answered for the same documents."""
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


def _values(scored: Sequence[Scored]) -> dict[Key, dict[str, float]]:
    """For each mean, the scores it is over, by document."""
    values: dict[Key, dict[str, float]] = defaultdict(dict)
    for each in scored:
        for metric, value in each.scores.items():
            if value is not None:
                values[each.model, each.domain, metric][each.document] = value
                values[each.model, OVERALL, metric][each.document] = value
    return dict(values)


def _compare(
    values: Mapping[Key, Mapping[str, float]], against: str, seed: int, chance: Mapping[str, Any]
) -> dict[Key, Compared]:
    """Each model against `against`, on the documents that both have a score for."""
    found: dict[Key, statistics.Comparison] = {}
    for key, mine in values.items():
        model, scope, metric = key
        theirs = values.get((against, scope, metric), {})
        both = [name for name in mine if name in theirs]
        if model in (against, *BASELINES) or not both:
            continue
        first, second = (np.array([scores[name] for name in both]) for scores in (mine, theirs))
        found[key] = statistics.compare(first, second, statistics.generator(seed, "compare", *key, against), **chance)
    corrected: dict[Key, float] = {}
    for metric in dict.fromkeys(metric for _, _, metric in found):
        family = [key for key in found if key[2] == metric]
        corrected |= zip(family, statistics.holm([found[key].p for key in family]), strict=True)
    return {key: Compared(comparison, corrected[key]) for key, comparison in found.items()}
