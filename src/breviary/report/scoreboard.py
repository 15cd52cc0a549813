"""Models by metric: a table for each domain, from data/evaluation.json.

A mark stands where a model differs from the target's `against` by more than chance (Holm-corrected p below 1 - level):
"better" or "worse" for a metric with a direction, "differs" for one that only describes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from breviary.evaluate.scores import OVERALL
from breviary.evaluate.scoring import BASELINES

NUMBERS = ("mean", "low", "high", "n")


def tables(evaluation: Mapping[str, Any], models: Sequence[str]) -> list[dict[str, Any]]:
    """A table for each domain, the target's first and that of all documents last."""
    scopes = sorted({scope for found in evaluation["models"].values() for scope in found})
    target = evaluation["target"]["domain"]
    scopes.sort(key=lambda scope: (scope == OVERALL, scope != target, scope))
    if len(scopes) == 2 and OVERALL in scopes:
        scopes.remove(OVERALL)  # one domain: the same numbers twice
    return [_table(evaluation, scope, models) for scope in scopes]


def _table(evaluation: Mapping[str, Any], scope: str, models: Sequence[str]) -> dict[str, Any]:
    found = {model: evaluation["models"][model].get(scope, {}) for model in models}
    directions = evaluation["higher_is_better"]
    metrics = [metric for metric in directions if any(metric in row for row in found.values())]
    rows = [_row(evaluation, scope, metric, found) for metric in metrics]
    return {
        "domain": scope,
        "documents": max(each["n"] for row in found.values() for each in row.values()),
        "judged": [row for row in rows if row["higher_is_better"] is not None],
        "described": [row for row in rows if row["higher_is_better"] is None],
    }


def _row(evaluation: Mapping[str, Any], scope: str, metric: str, found: Mapping[str, Any]) -> dict[str, Any]:
    higher = evaluation["higher_is_better"][metric]
    compared = next(iter(evaluation["comparisons"].values()))
    alpha = 1 - evaluation["settings"]["statistics"]["level"]
    cells = {
        model: {name: row[metric].get(name) for name in NUMBERS}
        | {"mark": _mark(compared.get(model, {}).get(scope, {}).get(metric), higher, alpha)}
        for model, row in found.items()
        if metric in row
    }
    return {"metric": metric, "higher_is_better": higher, "cells": cells, "best": _best(cells, higher)}


def _mark(comparison: Mapping[str, Any] | None, higher: bool | None, alpha: float) -> str:
    if comparison is None or comparison["p_holm"] >= alpha:
        return ""
    if higher is None:
        return "differs"
    return "better" if (comparison["difference"] > 0) == higher else "worse"


def _best(cells: Mapping[str, Any], higher: bool | None) -> str:
    """The best of the models, baselines apart; none where nothing is better."""
    own = {model: cell["mean"] for model, cell in cells.items() if model not in BASELINES}
    if higher is None or len(own) < 2:
        return ""
    return (max if higher else min)(own, key=own.__getitem__)
