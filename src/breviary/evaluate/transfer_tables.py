"""What a curriculum taught and cost, as the files and tables that people read (the quantities: `transfer.py`).

full      a part of data/evaluation.json: R and every quantity, each with its interval and the two models behind it
brief     metrics/transfer.json: R in nats (that of ROUGE is in metrics/scores), the quantities, to four digits
curve     metrics/curves/transfer.csv: R for `dvc plots`, a line a row: measure, domain, model
tracked   numbers for MLflow
terminal  what the stage prints
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from breviary.evaluate.statistics import Estimate
from breviary.evaluate.tables import DIGITS, rounded
from breviary.evaluate.transfer import QUANTITIES, Effect, Transfer

MEAN = "mean"  # over domains
COLUMNS = ("measure", "domain", "model", "position", "value", "low", "high")


def full(found: Mapping[str, Transfer]) -> dict[str, Any]:
    """Everything, as JSON."""
    return {
        name: {
            "unit": each.measure.unit,
            "higher_is_better": each.measure.higher_is_better,
            "brought": each.brought,
            "matrix": {
                domain: {model: rounded(asdict(estimate)) for model, estimate in column.items()}
                for domain, column in each.matrix.items()
            },
            "effects": {
                domain: {quantity: _effect(effect) for quantity, effect in effects.items()}
                for domain, effects in each.effects.items()
            },
            MEAN: rounded(each.means),
        }
        for name, each in found.items()
    }


def brief(found: Mapping[str, Transfer]) -> dict[str, Any]:
    """The numbers of `dvc metrics show`: measure, then domain or mean, then model or quantity."""
    rows: dict[str, Any] = {}
    for name, each in found.items():
        row: dict[str, dict[str, float]] = {domain: {} for domain in each.matrix}
        for domain, column in each.matrix.items():
            if not each.measure.higher_is_better:
                row[domain] |= {model: round(estimate.mean, DIGITS) for model, estimate in column.items()}
            effects = each.effects[domain]
            row[domain] |= {quantity: round(effect.estimate.mean, DIGITS) for quantity, effect in effects.items()}
        rows[name] = {**row, MEAN: {quantity: round(value, DIGITS) for quantity, value in each.means.items()}}
    return rows


def curve(found: Mapping[str, Transfer]) -> str:
    """R with its intervals, as CSV; `position` is 0 for the backbone."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, each in found.items():
        for domain, column in each.matrix.items():
            for position, (model, estimate) in enumerate(column.items()):
                numbers = (estimate.mean, estimate.low, estimate.high)
                shown = ("" if value is None else round(value, DIGITS) for value in numbers)
                writer.writerow([name, domain, model, position, *shown])
    return text.getvalue()


def tracked(found: Mapping[str, Transfer]) -> dict[str, float]:
    """`transfer/<domain>/<quantity>/<measure>`, and R of what `evaluate` does not track already."""
    numbers: dict[str, float] = {}
    for name, each in found.items():
        for domain, column in each.matrix.items():
            if not each.measure.higher_is_better:
                numbers |= {f"{domain}/{name}_nats/{model}": estimate.mean for model, estimate in column.items()}
            for quantity, effect in each.effects[domain].items():
                numbers[f"transfer/{domain}/{quantity}/{name}"] = effect.estimate.mean
        numbers |= {f"transfer/{MEAN}/{quantity}/{name}": value for quantity, value in each.means.items()}
    return numbers


def terminal(found: Mapping[str, Transfer], level: float) -> str:
    """A block for each measure: R, a row a model, then the quantities with their intervals."""
    note = "positive is good, but for forgetting, which is what was lost; in brackets the interval over documents"
    return "\n\n".join([*(_block(each) for each in found.values()), f"{note} ({level:.0%})"])


def _block(each: Transfer) -> str:
    domains = list(each.matrix)
    direction = "high" if each.measure.higher_is_better else "low"
    models = list(dict.fromkeys(model for column in each.matrix.values() for model in column))
    sizes = {domain: max(estimate.n for estimate in column.values()) for domain, column in each.matrix.items()}
    rows = [["", *(f"{domain} ({sizes[domain]})" for domain in domains), MEAN]]
    rows.append(["brought by", *(each.brought.get(domain, "-") for domain in domains), ""])
    for model in models:
        rows.append([model, *(_level(each.matrix[domain].get(model)) for domain in domains), ""])
    for quantity in (name for name in QUANTITIES if name in each.means):
        cells = (_cell(each.effects[domain].get(quantity)) for domain in domains)
        rows.append([quantity, *cells, f"{each.means[quantity]:+.3f}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
    return "\n".join([f"{each.measure.unit} ({direction} is good)", *(line.rstrip() for line in lines)])


def _level(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.mean:.3f}"


def _cell(effect: Effect | None) -> str:
    if effect is None:
        return "-"
    found = effect.estimate
    interval = "" if found.low is None else f" ({found.low:+.3f} to {found.high:+.3f})"
    return f"{found.mean:+.3f}{interval}"


def _effect(effect: Effect) -> dict[str, Any]:
    return rounded(asdict(effect.estimate)) | {"first": effect.first, "second": effect.second}
