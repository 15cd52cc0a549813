"""Whether a candidate becomes champion. It does if every one of these holds (`conditions.py` says how each is tested):

    target   the comparison that was chosen before looking rose significantly. Compared with the champion; where there
             is none, or it was measured otherwise, with the model that `evaluate.target` names (the backbone)
    guards   no guarded domain fell by more than its margin. Compared with an earlier model (forgetting), and with the
             champion too
    bounds   faithfulness and style are what they have to be

All conditions are looked at, so that all that speaks against a candidate is said at once.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from breviary import config
from breviary.errors import ConfigError
from breviary.evaluate import conditions
from breviary.evaluate.conditions import Bound, Check, Evidence, Guard, Target
from breviary.evaluate.dossier import NATS, Dossier, obstacles


class Options(config.Options):
    """Section `gate`."""

    level: float = Field(gt=0.5, lt=1)
    target: Target
    guards: list[Guard]
    bounds: list[Bound]


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
    checks = [conditions.rose(options.level, options.target, evidence, first)]
    for guard in options.guards:
        others = [evidence.earlier[guard.against], *([rival] if rival else [])]
        checks += [conditions.kept(options.level, guard, evidence, other) for other in others]
    checks += [conditions.within(options.level, bound, evidence) for bound in options.bounds]
    told = [f"{note}: the target is compared with {first.model}" for note in notes]
    return Decision(all(check.passed for check in checks), first.model, checks, told)


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
