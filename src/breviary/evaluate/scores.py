"""Every model's summary of every test document, scored; then means with intervals, and each model against one of them.

Scores are kept for each document: what a mean hides, and what any paired comparison needs. "overall" is the mean over
all documents, whatever their domain, so a domain with more documents weighs more. A score that does not exist is left
out of means, whose `n` says how many documents they are over. A corpus figure (BLEU) is no mean of documents' scores;
it stands beside the means, with an interval from drawing documents.

Every number draws from a generator of its own, made of the seed and its name: one more metric or model changes no digit
of the others.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from breviary import catalogue, config
from breviary.errors import ConfigError, DataError
from breviary.evaluate import scoring, statistics, sums
from breviary.evaluate.measured import Given
from breviary.evaluate.scoring import BASELINES, METRICS, Counted, Scored
from breviary.records import Document, Prediction

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
        directions = scoring.directions_of(scoring.modules(names))
        if directions.get(self.target.metric) is None:
            good = ", ".join(name for name, higher in directions.items() if higher is not None)
            raise ConfigError(
                f"target.metric: '{self.target.metric}' is not one of those that can be better or worse ({good})"
            )
        return self


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


def evaluate(
    documents: Sequence[Document],
    split_of: Mapping[str, str],
    predictions: Mapping[str, Sequence[Prediction]],
    options: Options,
    given: Given,
    seed: int,
) -> Evaluation:
    """Score, estimate and compare the predictions of each model. No model is loaded but what a metric asks for."""
    by_id = {document.id: document for document in documents}
    metrics, target = scoring.build(options.metrics, given), options.target
    directions = scoring.directions_of(scoring.modules(list(metrics)))
    summaries = scoring.collected(predictions, by_id)
    scored, counted = scoring.score(by_id, summaries, metrics, directions)
    values, figures = _values(scored), _figures(counted, by_id)
    if not values.get((target.model, target.domain, target.metric)):
        known = ", ".join([*sorted({each.domain for each in scored}), OVERALL])
        raise DataError(f"evaluate.target: no {target.metric} in domain '{target.domain}' (domains here: {known})")
    chance = {"resamples": options.resamples, "level": options.level}
    estimates = _estimate(values, figures, seed, chance)
    settings: dict[str, Any] = {kind: metric.settings for kind, metric in metrics.items()}
    settings["statistics"] = statistics.settings(**chance) | {"seed": seed}
    settings["splits"] = sorted({split_of[each.document] for each in scored})
    comparisons = _compare(values, figures, target.against, seed, chance)
    return Evaluation(summaries, scored, estimates, comparisons, directions, settings)


def _values(scored: Sequence[Scored]) -> dict[Key, dict[str, float]]:
    """For each mean, the scores it is over, by document."""
    values: dict[Key, dict[str, float]] = defaultdict(dict)
    for each in scored:
        for metric, value in each.scores.items():
            if value is not None:
                values[each.model, each.domain, metric][each.document] = value
                values[each.model, OVERALL, metric][each.document] = value
    return dict(values)


def _estimate(
    values: Mapping[Key, Mapping[str, float]], figures: Mapping[Key, "_Figure"], seed: int, chance: Mapping[str, Any]
) -> dict[Key, statistics.Estimate]:
    """The mean of each metric and each corpus figure, with its interval."""

    def drawn(key: Key) -> np.random.Generator:
        return statistics.generator(seed, "mean", *key)

    means = {
        key: statistics.mean(np.array(list(found.values())), drawn(key), **chance) for key, found in values.items()
    }
    return means | {
        key: sums.estimate(np.array(list(each.counts.values())), each.value, drawn(key), **chance)
        for key, each in figures.items()
    }


@dataclass(frozen=True)
class _Figure:
    """A corpus figure of one model: the counts of each document, and what their sum is worth."""

    counts: dict[str, np.ndarray]
    value: sums.Value


def _figures(counted: Sequence[Counted], documents: Mapping[str, Document]) -> dict[Key, _Figure]:
    """Each corpus figure of each model, by domain and over all."""
    found: dict[Key, _Figure] = {}
    for each in counted:
        for model, lines in each.counts.items():
            scopes: dict[str, dict[str, np.ndarray]] = {OVERALL: lines}
            for name, line in lines.items():
                scopes.setdefault(documents[name].domain, {})[name] = line
            found |= {
                (model, scope, name): _Figure(own, each.value(name))
                for scope, own in scopes.items()
                for name in each.names
            }
    return found


def _compare(
    values: Mapping[Key, Mapping[str, float]],
    figures: Mapping[Key, _Figure],
    against: str,
    seed: int,
    chance: Mapping[str, Any],
) -> dict[Key, Compared]:
    """Each model against `against`, on the documents that both have a score for."""

    def drawn(key: Key) -> np.random.Generator:
        return statistics.generator(seed, "compare", *key, against)

    found = {
        key: statistics.compare(mine, theirs, drawn(key), **chance) for key, mine, theirs in _paired(values, against)
    }
    counts = {key: figure.counts for key, figure in figures.items()}
    found |= {
        key: sums.compare(mine, theirs, figures[key].value, drawn(key), **chance)
        for key, mine, theirs in _paired(counts, against)
    }
    corrected: dict[Key, float] = {}
    for metric in dict.fromkeys(metric for _, _, metric in found):
        family = [key for key in found if key[2] == metric]
        corrected |= zip(family, statistics.holm([found[key].p for key in family]), strict=True)
    return {key: Compared(comparison, corrected[key]) for key, comparison in found.items()}


def _paired(lines: Mapping[Key, Mapping[str, Any]], against: str) -> Iterator[tuple[Key, np.ndarray, np.ndarray]]:
    """For each model but `against`, what it and `against` have for the same documents."""
    for key, mine in lines.items():
        model, scope, metric = key
        theirs = lines.get((against, scope, metric), {})
        both = [name for name in mine if name in theirs]
        if both and model not in (against, *BASELINES):
            yield key, np.array([mine[name] for name in both]), np.array([theirs[name] for name in both])
