"""What each phase teaches, and what that costs of what was learned before.

    R[m][d]   how well model m does on domain d: the mean over the domain's test documents of one measure.
              Models are in order: the backbone (0), then the phases (1 .. K); b is the phase that first trains on d

    learning(d)   = R[b][d] - R[b-1][d]           gain in the phase that brings the domain
    forward(d)    = R[b-1][d] - R[0][d], b > 1    gain from the phases before that one, which never saw it
    plasticity(d) = R[b][d] - R[0][d]             where learning arrives: learning + forward
    backward(d)   = R[K][d] - R[b][d], b < K      what the phases after that one did to it
    gain(d)       = R[K][d] - R[0][d]             plasticity + backward
    forgetting(d) = max_{k<K} R[k][d] - R[K][d]   what the last model lacks of the best one before it; not of a domain
                                                  that the last phase brings, but of one that no phase brings

Backward and forward transfer: Lopez-Paz & Ranzato 2017, arXiv:1706.08840, eq. 3 and 4, where the level that forward
transfer starts from is a random initialisation's and here the backbone's. Forgetting: Chaudhry et al. 2018,
arXiv:1801.10112, section 4.1, with the backbone among the earlier models. Plasticity: the learning accuracy of Riemer
et al. 2019, arXiv:1810.11910, counted from the backbone. As there, the number for all domains is the mean over those
that have one, each of the same weight.

Sign: R keeps the unit of the measure (nats a token: low is good); in a difference of a measure that is good low the two
change places. So a positive number is good, except for forgetting, where it is what was lost.

Each is a mean over documents of paired differences of two models, and has the interval of one (`statistics.mean`);
that of forgetting takes the best earlier model as given, and so does not count that it was chosen among several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from breviary.evaluate import statistics
from breviary.evaluate.statistics import Estimate
from breviary.records import REPLAY, Document, Example

QUANTITIES = ("learning", "forward", "plasticity", "backward", "gain", "forgetting")

Values = Mapping[str, Mapping[str, float]]  # model -> document -> value


@dataclass(frozen=True)
class Measure:
    """One measure of every model, on the same documents."""

    values: Values
    higher_is_better: bool
    unit: str


@dataclass(frozen=True)
class Effect:
    """How much better `first` is than `second`."""

    first: str
    second: str
    estimate: Estimate


@dataclass(frozen=True)
class Transfer:
    """What one measure says of a curriculum."""

    measure: Measure
    matrix: dict[str, dict[str, Estimate]]  # R: domain -> model; domains sorted, models in order
    effects: dict[str, dict[str, Effect]]  # domain -> quantity; what does not apply is left out
    means: dict[str, float]  # quantity -> mean over domains
    brought: dict[str, str]  # domain -> the phase that first trains on it, if one does


def introduced(mixtures: Mapping[str, Sequence[Example]]) -> dict[str, str]:
    """The first phase that trains on each domain, from the mixtures of the phases in order.

    Read off the examples and not the shares: one of a mined pair is of either domain. Replay brings nothing new.
    """
    found: dict[str, str] = {}
    for phase, examples in mixtures.items():
        domains = {example.domain for example in examples if example.origin != REPLAY}
        found |= dict.fromkeys(sorted(domains - found.keys()), phase)
    return found


def transfers(
    measures: Mapping[str, Measure],
    documents: Sequence[Document],
    mixtures: Mapping[str, Sequence[Example]],
    curriculum: Sequence[str],
    **chance: Any,
) -> dict[str, Transfer]:
    """`transfer` of each measure."""
    domain_of = {document.id: document.domain for document in documents}
    brought = introduced(mixtures)
    return {
        name: transfer(name, measure, domain_of, brought, curriculum, **chance) for name, measure in measures.items()
    }


def transfer(
    name: str,
    measure: Measure,
    domain_of: Mapping[str, str],
    brought: Mapping[str, str],
    curriculum: Sequence[str],
    *,
    seed: int,
    resamples: int,
    level: float,
) -> Transfer:
    """R and all that follows from it. `curriculum` names the backbone and the phases, in order."""

    def estimate(values: Sequence[float], *key: str) -> Estimate:
        generator = statistics.generator(seed, *key, name)
        return statistics.mean(np.array(values), generator, resamples=resamples, level=level)

    sign = 1.0 if measure.higher_is_better else -1.0
    matrix: dict[str, dict[str, Estimate]] = {}
    effects: dict[str, dict[str, Effect]] = {}
    for domain, column in _columns(measure.values, domain_of, curriculum).items():
        matrix[domain] = {
            model: estimate([*values.values()], "mean", model, domain) for model, values in column.items()
        }
        levels = {model: sign * each.mean for model, each in matrix[domain].items()}
        pairs = contrasts(levels, brought.get(domain), curriculum)
        effects[domain] = {
            quantity: Effect(
                first, second, estimate(_differences(sign, column[first], column[second]), quantity, domain)
            )
            for quantity, (first, second) in pairs.items()
        }
    own = {domain: phase for domain, phase in brought.items() if domain in matrix}
    return Transfer(measure, matrix, effects, _means(effects), own)


def contrasts(levels: Mapping[str, float], phase: str | None, curriculum: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each quantity that applies to a domain, the two models whose difference it is.

    `levels` is the domain's column of R, higher better; `phase` brings the domain, if one does.
    """
    models = [model for model in curriculum if model in levels]
    base, last = curriculum[0], models[-1]
    found = {"gain": (last, base)}
    if phase is not None:
        before = curriculum[curriculum.index(phase) - 1]
        found |= {"learning": (phase, before), "plasticity": (phase, base), "backward": (last, phase)}
        if before != base:
            found["forward"] = (before, base)
    if phase != last and len(models) > 1:
        found["forgetting"] = (max(models[:-1], key=levels.__getitem__), last)
    measured = {name: pair for name, pair in found.items() if levels.keys() >= set(pair) and pair[0] != pair[1]}
    return {name: measured[name] for name in QUANTITIES if name in measured}


def _columns(
    values: Values, domain_of: Mapping[str, str], curriculum: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """The values by domain, model and document."""
    models = [model for model in curriculum if model in values]
    domains = sorted({domain_of[document] for model in models for document in values[model]})
    return {
        domain: {
            model: {document: value for document, value in values[model].items() if domain_of[document] == domain}
            for model in models
        }
        for domain in domains
    }


def _differences(sign: float, first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    return [sign * (first[document] - second[document]) + 0.0 for document in first]  # + 0.0: never minus nothing


def _means(effects: Mapping[str, Mapping[str, Effect]]) -> dict[str, float]:
    """Each quantity's mean over the domains that have it."""
    found = {}
    for quantity in QUANTITIES:
        values = [each[quantity].estimate.mean for each in effects.values() if quantity in each]
        if values:
            found[quantity] = float(np.mean(values))
    return found
