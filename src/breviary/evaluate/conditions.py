"""The three conditions of the gate, each looked at by itself: what was found, what was asked, whether it holds.

    target   the mean of the paired differences is above 0, and its two-sided sign-flip p below 1 - level
    guard    the lower one-sided bound, at `level`, of the mean paired difference is no less than -margin: a test of
             non-inferiority (Piaggio et al. 2012, JAMA 308:2594). A drop that was merely not proved is not enough, so
             few or noisy documents speak against a candidate
    bound    the candidate's mean lies between min and max

Every difference is of the same documents, and positive where the candidate is better, whichever way the metric goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import Field, model_validator

from breviary import config
from breviary.errors import ConfigError
from breviary.evaluate import statistics
from breviary.evaluate.dossier import Dossier

FEWEST = 2  # documents; one has no spread, and so no bound


class Target(config.Options):
    """What a champion is for."""

    domain: str  # or "overall"
    metric: str


class Guard(config.Options):
    """What must not be lost."""

    domain: str  # or "overall"
    metric: str
    against: str  # the earlier model that knew it
    margin: float = Field(ge=0)  # in the unit of the metric


class Bound(config.Options):
    """What a mean has to be, whatever others have."""

    domain: str  # or "overall"
    metric: str
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _something_is_asked(self) -> "Bound":
        if self.min is None and self.max is None:
            raise ConfigError("a bound needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ConfigError(f"min {self.min} is above max {self.max}")
        return self


@dataclass(frozen=True)
class Check:
    """One condition, what was found, and what was asked."""

    condition: str  # target, guard or bound
    domain: str
    metric: str
    against: str | None
    value: float | None  # of a bound the mean, otherwise how much better the candidate is
    low: float | None  # of the interval: two-sided at `level`, of a guard one-sided
    high: float | None
    p: float | None
    documents: int
    limit: str
    passed: bool
    reason: str


@dataclass(frozen=True)
class Evidence:
    """Everything that a decision rests on."""

    candidate: Dossier
    earlier: Mapping[str, Dossier]  # the models of the same run, by name
    base: str  # which of them the target is compared with where no champion can be
    directions: Mapping[str, bool | None]  # metric -> whether higher is better, `dossier.NATS` among them
    seed: int
    resamples: int


def rose(level: float, target: Target, evidence: Evidence, other: Dossier) -> Check:
    """Whether the candidate is better than `other` at what a champion is for."""
    domain, metric = target.domain, target.metric
    found = _compared("target", domain, metric, evidence, other, level)
    passed = found.p < 1 - level and found.difference > 0
    said = "rose" if passed else "did not rise significantly"
    interval = "" if found.low is None else f"{level:.0%} interval {found.low:+.4f} to {found.high:+.4f}, "
    return Check(
        **{"condition": "target", "domain": domain, "metric": metric, "against": other.model},
        **{"value": found.difference, "low": found.low, "high": found.high, "p": found.p, "documents": found.n},
        limit=f"above 0 with p < {1 - level:.4g}",
        passed=passed,
        reason=f"{domain} {metric} {said}: {found.difference:+.4f} against {other.model} ({interval}p {found.p:.4f}, "
        f"{found.n} documents)",
    )


def kept(level: float, guard: Guard, evidence: Evidence, other: Dossier) -> Check:
    """Whether the candidate kept what `other` knew.

    The lower end of a two-sided 90 % interval is the one-sided 95 % bound.
    """
    found = _compared("guard", guard.domain, guard.metric, evidence, other, 2 * level - 1)
    bound = found.difference if found.low is None else found.low  # all differences are the same
    passed = found.n >= FEWEST and bound >= -guard.margin
    said = "was kept" if passed else "may have fallen too far"
    few = "" if found.n >= FEWEST else f"; {FEWEST} documents are the least"
    return Check(
        **{"condition": "guard", "domain": guard.domain, "metric": guard.metric, "against": other.model},
        **{"value": found.difference, "low": bound, "high": None, "p": None, "documents": found.n},
        limit=f"lower bound of at least {-guard.margin:.4g}",
        passed=passed,
        reason=f"{guard.domain} {guard.metric} {said}: {found.difference:+.4f} against {other.model}, at worst "
        f"{bound:+.4f} ({level:.0%} bound, {found.n} documents), margin {guard.margin:.4g}{few}",
    )


def within(level: float, bound: Bound, evidence: Evidence) -> Check:
    """Whether the candidate is within limits.

    A mean that does not exist is not within its bounds: what cannot be looked at is not let pass.
    """
    values = evidence.candidate.values(bound.domain, bound.metric)
    if not values:
        return _unknown(bound)
    generator = statistics.generator(evidence.seed, "bound", bound.domain, bound.metric)
    found = statistics.mean(np.array([*values.values()]), generator, resamples=evidence.resamples, level=level)
    low, high = (-np.inf if bound.min is None else bound.min), (np.inf if bound.max is None else bound.max)
    passed = bool(low <= found.mean <= high)
    asked = [f"at least {bound.min:.4g}"] if bound.min is not None else []
    asked += [f"at most {bound.max:.4g}"] if bound.max is not None else []
    limit = " and ".join(asked)
    return Check(
        **{"condition": "bound", "domain": bound.domain, "metric": bound.metric, "against": None},
        **{"value": found.mean, "low": found.low, "high": found.high, "p": None, "documents": found.n},
        limit=limit,
        passed=passed,
        reason=f"{bound.domain} {bound.metric} is {found.mean:.4f}, {'and' if passed else 'but'} has to be {limit} "
        f"({found.n} documents)",
    )


def _unknown(bound: Bound) -> Check:
    return Check(
        **{"condition": "bound", "domain": bound.domain, "metric": bound.metric, "against": None},
        **{"value": None, "low": None, "high": None, "p": None, "documents": 0},
        limit="to be measured",
        passed=False,
        reason=f"{bound.domain} {bound.metric} is not known of any document",
    )


def _compared(
    condition: str, domain: str, metric: str, evidence: Evidence, other: Dossier, level: float
) -> statistics.Comparison:
    """How much better the candidate is than `other`, on the documents that both have a value for."""
    mine, theirs = (each.values(domain, metric) for each in (evidence.candidate, other))
    both = sorted(mine.keys() & theirs.keys())
    sign = 1.0 if evidence.directions[metric] else -1.0
    first, second = (sign * np.array([values[document] for document in both]) for values in (mine, theirs))
    generator = statistics.generator(evidence.seed, condition, domain, metric, other.model)
    return statistics.compare(first, second, generator, resamples=evidence.resamples, level=level)
