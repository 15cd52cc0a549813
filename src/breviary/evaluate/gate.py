"""Whether a candidate becomes champion. It does if every one of these holds:

    target   the comparison that was chosen before looking rose significantly: the mean of the paired differences is
             above 0 and its two-sided sign-flip p is below 1 - level. Compared with the champion; where there is none,
             or it was measured otherwise, with the model that `evaluate.target` names (the backbone)
    guards   no guarded domain fell by more than its margin: the lower one-sided bound, at `level`, of the mean paired
             difference is no less than -margin. Compared with an earlier model (forgetting), and with the champion too.
             A test of non-inferiority (Piaggio et al. 2012, JAMA 308:2594): a drop that was merely not proved is not
             enough, so few or noisy documents speak against a candidate
    bounds   faithfulness and style are what they have to be: the candidate's mean lies between min and max

Every difference is of the same documents, and positive where the candidate is better, whichever way the metric goes.
All conditions are looked at, so that all that speaks against a candidate is said at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from breviary import config
from breviary.errors import ConfigError
from breviary.evaluate import statistics
from breviary.evaluate.dossier import NATS, Dossier, obstacles

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


class Options(config.Options):
    """Section `gate`."""

    level: float = Field(gt=0.5, lt=1)
    target: Target
    guards: list[Guard]
    bounds: list[Bound]


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
class Decision:
    """What the gate says, and why."""

    promoted: bool
    against: str  # what the target was compared with
    checks: list[Check]
    notes: list[str]

    @property
    def reasons(self) -> list[str]:
        """A line for each condition, those that failed first, and then what else must be known."""
        ordered = sorted(self.checks, key=lambda check: check.passed)
        return [*(f"{'passed' if each.passed else 'FAILED'}  {each.reason}" for each in ordered), *self.notes]

    def as_json(self) -> dict[str, Any]:
        """Plain values, numbers to six digits."""
        return {
            "against": self.against,
            "checks": [{name: _rounded(value) for name, value in asdict(each).items()} for each in self.checks],
            "decision": "promoted" if self.promoted else "refused",
            "notes": self.notes,
        }


@dataclass(frozen=True)
class Evidence:
    """Everything that a decision rests on."""

    candidate: Dossier
    earlier: Mapping[str, Dossier]  # the models of the same run, by name
    base: str  # which of them the target is compared with where no champion can be
    directions: Mapping[str, bool | None]  # metric -> whether higher is better, `dossier.NATS` among them
    seed: int
    resamples: int


def evidence(known: Mapping[str, Dossier], model: str, evaluation: Mapping[str, Any], seed: int) -> Evidence:
    """All that is known of `model` and the others, and how data/evaluation.json was made."""
    return Evidence(
        candidate=known[model],
        earlier=known,
        base=evaluation["target"]["against"],
        directions=evaluation["higher_is_better"] | dict.fromkeys(NATS, False),
        seed=seed,
        resamples=evaluation["settings"]["statistics"]["resamples"],
    )


def decide(options: Options, evidence: Evidence, champion: Dossier | None) -> Decision:
    """Look at every condition. Raises ConfigError naming each one that cannot be looked at."""
    if problems := _problems(options, evidence):
        raise ConfigError("\n".join(problems))
    notes = _incomparable(options, evidence.candidate, champion) if champion else []
    rival = None if notes else champion
    first = rival or evidence.earlier[evidence.base]
    checks = [_target(options, evidence, first)]
    for guard in options.guards:
        others = [evidence.earlier[guard.against], *([rival] if rival else [])]
        checks += [_guard(options.level, guard, evidence, other) for other in others]
    checks += [_bound(options.level, bound, evidence) for bound in options.bounds]
    told = [f"{note}: the target is compared with {first.model}" for note in notes]
    return Decision(all(check.passed for check in checks), first.model, checks, told)


def _target(options: Options, evidence: Evidence, other: Dossier) -> Check:
    domain, metric, level = options.target.domain, options.target.metric, options.level
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


def _guard(level: float, guard: Guard, evidence: Evidence, other: Dossier) -> Check:
    """The lower end of a two-sided 90 % interval is the one-sided 95 % bound."""
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


def _bound(level: float, bound: Bound, evidence: Evidence) -> Check:
    """A mean that does not exist is not within its bounds: what cannot be looked at is not let pass."""
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


def _incomparable(options: Options, candidate: Dossier, champion: Dossier) -> list[str]:
    """Why the candidate cannot be compared with the champion, a line each."""
    found = obstacles(candidate, champion)
    for each in (options.target, *options.guards):
        if not champion.values(each.domain, each.metric).keys() & candidate.values(each.domain, each.metric).keys():
            found.append(f"{champion.model} has no {each.metric} of {each.domain}")
    return list(dict.fromkeys(found))


def _problems(options: Options, evidence: Evidence) -> list[str]:
    """Every condition that cannot be looked at."""
    found = []
    asked: list[tuple[str, Target | Guard, str]] = [("gate.target", options.target, evidence.base)]
    asked += [(f"gate.guards.{at}", guard, guard.against) for at, guard in enumerate(options.guards)]
    for where, each, against in asked:
        found += _missing(where, each, evidence.candidate)
        if evidence.directions.get(each.metric) is None:
            good = ", ".join(name for name, higher in evidence.directions.items() if higher is not None)
            found.append(f"{where}.metric: '{each.metric}' is not one of those that can be better or worse ({good})")
        if against not in evidence.earlier or against == evidence.candidate.model:
            known = ", ".join(name for name in evidence.earlier if name != evidence.candidate.model)
            found.append(f"{where}.against: '{against}' is not a model to compare with (known: {known})")
        elif (
            not evidence.earlier[against].values(each.domain, each.metric).keys()
            & evidence.candidate.values(each.domain, each.metric).keys()
        ):
            found.append(f"{where}: {against} has no {each.metric} of {each.domain} to compare with")
    for at, bound in enumerate(options.bounds):
        domains = {record.domain for record in evidence.candidate.records}
        found += _missing(f"gate.bounds.{at}", bound, evidence.candidate, may_lack=domains)
    return list(dict.fromkeys(found))


def _missing(where: str, each: Target | Guard | Bound, candidate: Dossier, may_lack: Collection[str] = ()) -> list[str]:
    """What is wrong with the name of a domain or metric; a metric may have no value in the domains `may_lack`."""
    if candidate.values(each.domain, each.metric):
        return []
    known = sorted({metric for record in candidate.records for metric in record.scores})
    domains = ", ".join(sorted({record.domain for record in candidate.records}))
    if each.metric not in known:
        return [f"{where}.metric: no '{each.metric}' in data/scores.jsonl (known: {', '.join(known)})"]
    if each.domain in may_lack:
        return []
    return [f"{where}.domain: no {each.metric} in domain '{each.domain}' (domains here: {domains}, overall)"]


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
