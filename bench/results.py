"""What the arms of an ablation came to: losses by domain, what was forgotten and gained, with intervals over seeds and
documents (`breviary/evaluate/seeds.py`).

    loss          nats a token of the reference summary, the mean over documents
    forgotten     loss on the old domain after the last phase, less that after phase 1
    removed       1 - forgotten / forgotten by plain sequential training
    gained        loss on the new domain after phase 1, less that after the last phase
    text          nats a token of documents' own beginnings without a prompt, of both domains: language in general
    written       each score of generated summaries after phase 1 and after the last, on the same documents; of what is
                  no better high or low, such as style, the references' own too

An arm that trains both domains in one phase has no loss in between; it is compared with that of the plain arm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from bench.arms import ARMS, PLAIN
from breviary.evaluate import seeds
from breviary.evaluate.seeds import Interval
from breviary.records import Likelihood

BASE, FIRST = "base", "phase1"
CONDITIONS = ("base", "before", "after", "plain_before", "plain_after")
WRITTEN = ("reference", "before", "after")
Written = Mapping[tuple[str, str], Mapping[str, float]]  # (domain, metric) -> document


@dataclass(frozen=True)
class Result:
    """One experiment: an arm with one seed."""

    likelihoods: Mapping[str, Sequence[Likelihood]]  # by model
    reports: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # when -> name -> value, of the last phase
    cost: Mapping[str, float] = field(default_factory=dict)  # of training the last phase
    written: Mapping[str, Written] = field(default_factory=dict)  # by WRITTEN


Results = Mapping[str, Mapping[int, Result]]  # arm -> seed


def summary(results: Results, *, old: str, new: str, resamples: int, level: float) -> dict[str, Any]:
    """Everything, as JSON. Raises ValueError where two models were not measured on the same documents."""
    rows = {}
    for arm, by_seed in results.items():
        others = results.get(PLAIN, {})
        common = sorted(by_seed.keys() & others.keys())
        chosen = common or sorted(by_seed)
        own = [by_seed[seed] for seed in chosen]
        plain = [others[seed] for seed in common]
        last = ARMS[arm].last
        chance = {"resamples": resamples, "level": level}
        rows[arm] = {
            "purpose": ARMS[arm].purpose,
            "seeds": chosen,
            "old": _old(own, plain, last, old, chance),
            "new": _new(own, plain, last, new, chance),
            "text": _text(own, plain, last, chance),
            "reports": _means([each.reports for each in own]),
            "cost": _mean([each.cost for each in own]),
            "written": _written(own, chance),
        }
    settings = {"interval": "documents resampled, crossed with Student's t over seeds", "level": level}
    return {"arms": rows, "old": old, "new": new, "settings": settings | {"resamples": resamples}}


def _old(own: list[Result], plain: list[Result], last: str, domain: str, chance: Mapping[str, Any]) -> dict[str, Any]:
    values, drawn = _drawn(own, plain, last, domain, "summary", chance)
    found: dict[str, Interval | None] = {
        name: _single(values, drawn, name, chance) for name in ("base", "before", "after") if name in values
    }
    if "before" in values:
        found["forgotten"] = _difference(values, drawn, "after", "before", chance)
    if {"before", "plain_before"} <= values.keys():
        lost, plainly = (
            (values[after] - values[before], drawn[after] - drawn[before])
            for after, before in (("after", "before"), ("plain_after", "plain_before"))
        )
        found["removed"] = seeds.share_removed(lost, plainly, level=chance["level"])
        found["against_plain"] = _difference(values, drawn, "after", "plain_after", chance)
    return _plain(found)


def _new(own: list[Result], plain: list[Result], last: str, domain: str, chance: Mapping[str, Any]) -> dict[str, Any]:
    values, drawn = _drawn(own, plain, last, domain, "summary", chance)
    found = {name: _single(values, drawn, name, chance) for name in ("base", "before", "after") if name in values}
    if "before" in values:
        found["gained"] = _difference(values, drawn, "before", "after", chance)
    if "plain_after" in values:
        found["against_plain"] = _difference(values, drawn, "after", "plain_after", chance)
    return _plain(found)


def _text(own: list[Result], plain: list[Result], last: str, chance: Mapping[str, Any]) -> dict[str, Any]:
    values, drawn = _drawn(own, plain, last, None, "text", chance)
    if not values:
        return {}
    found = {name: _single(values, drawn, name, chance) for name in ("base", "after")}
    found["change"] = _difference(values, drawn, "after", "base", chance)
    if "plain_after" in values:
        found["against_plain"] = _difference(values, drawn, "after", "plain_after", chance)
    return _plain(found)


def _drawn(
    own: list[Result], plain: list[Result], last: str, domain: str | None, what: str, chance: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, ndarray]]:
    """The mean of each condition and its draws, all from the same documents and the same draw of seeds."""
    between = own if last != FIRST else plain
    asked = {"base": (own, BASE), "before": (between, FIRST), "after": (own, last)}
    asked |= {"plain_before": (plain, FIRST), "plain_after": (plain, ARMS[PLAIN].last)}
    tables = [
        [_losses(result.likelihoods[model], domain, what) for result in asked[name][0]]
        for name, (_, model) in asked.items()
    ]
    named = [(name, table) for name, table in zip(CONDITIONS, tables, strict=True) if table]
    documents = sorted(named[0][1][0])
    if any(sorted(losses) != documents for _, table in named for losses in table):
        raise ValueError(f"models were measured on different documents of '{domain or 'all domains'}'; run them again")
    if not documents:
        return {}, {}
    values = np.array([[[losses[name] for name in documents] for losses in table] for _, table in named])
    drawn = seeds.draws(values, np.random.default_rng(0), resamples=chance["resamples"])
    means = values.mean((1, 2))
    return (
        {name: float(means[place]) for place, (name, _) in enumerate(named)},
        {name: drawn[:, place] for place, (name, _) in enumerate(named)},
    )


def _written(own: list[Result], chance: Mapping[str, Any]) -> dict[str, Any]:
    """By domain and metric: the means over the documents that every seed has a score for each time."""
    found: dict[str, dict[str, Any]] = {}
    for key in sorted({key for each in own for scores in each.written.values() for key in scores}):
        tables = {when: [each.written.get(when, {}).get(key, {}) for each in own] for when in WRITTEN}
        tables = {when: table for when, table in tables.items() if any(table)}
        documents = sorted(set.intersection(*(set(scores) for table in tables.values() for scores in table)))
        if documents:
            values = np.array([[[scores[name] for name in documents] for scores in each] for each in tables.values()])
            draws = seeds.draws(values, np.random.default_rng(0), resamples=chance["resamples"])
            means = dict(zip(tables, values.mean((1, 2)).tolist(), strict=True))
            drawn = {when: draws[:, place] for place, when in enumerate(tables)}
            row: dict[str, Interval | None] = {when: _single(means, drawn, when, chance) for when in tables}
            if {"before", "after"} <= means.keys():
                row["change"] = _difference(means, drawn, "after", "before", chance)
            found.setdefault(key[0], {})[key[1]] = _plain(row)
    return found


def _losses(likelihoods: Sequence[Likelihood], domain: str | None, what: str) -> dict[str, float]:
    """Nats a token, by document."""
    counted = {
        each.document: (getattr(each, f"{what}_nats"), getattr(each, f"{what}_tokens"))
        for each in likelihoods
        if domain in (None, each.domain)
    }
    return {document: nats / tokens for document, (nats, tokens) in counted.items() if tokens}


def _single(
    values: Mapping[str, float], drawn: Mapping[str, ndarray], name: str, chance: Mapping[str, Any]
) -> Interval:
    return seeds.interval(values[name], drawn[name], level=chance["level"])


def _difference(
    values: Mapping[str, float], drawn: Mapping[str, ndarray], one: str, other: str, chance: Mapping[str, Any]
) -> Interval:
    return seeds.interval(values[one] - values[other], drawn[one] - drawn[other], level=chance["level"])


def _plain(found: Mapping[str, Interval | None]) -> dict[str, Any]:
    return {
        name: {key: None if value is None else round(value, 6) for key, value in asdict(each).items()} if each else None
        for name, each in found.items()
    }


def _means(found: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        when: _mean([each.get(when, {}) for each in found]) for when in sorted({key for each in found for key in each})
    }


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number over the seeds that have it."""
    names = sorted({name for each in found for name in each})
    return {name: round(float(np.mean([each[name] for each in found if name in each])), 6) for name in names}
