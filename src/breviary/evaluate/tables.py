"""One evaluation as the files and tables that people read.

full      data/evaluation.json: every mean, interval and comparison, with the settings behind them; its part `target`
          is metrics/evaluate.json
brief     metrics/scores/<model>.json: a row of `dvc metrics show`, only what can be better or worse
tracked   numbers for MLflow
samples   the same documents summarised by every model, from the target model's worst to its best
terminal  what the stage prints
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from breviary.evaluate.scores import OVERALL, Evaluation, Target
from breviary.evaluate.statistics import Comparison, Estimate
from breviary.records import Document

SAMPLES = 5
DESCRIBED = ("words", "passive", "paper_phrase")  # that the terminal shows of what is neither good nor bad
LINE, GAP = 120, 2  # characters of a table's line, and between its columns
DIGITS = 4  # of a score between 0 and 1; intervals are wider than the fifth digit by far


def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, numbers to six digits."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}


def full(evaluation: Evaluation, target: Target) -> dict[str, Any]:
    """Everything, as JSON."""
    estimates: dict[str, Any] = {}
    for (model, scope, metric), estimate in evaluation.estimates.items():
        estimates.setdefault(model, {}).setdefault(scope, {})[metric] = rounded(asdict(estimate))
    comparisons: dict[str, Any] = {}
    for (model, scope, metric), compared in evaluation.comparisons.items():
        found = rounded({**asdict(compared.comparison), "p_holm": compared.p_holm})
        comparisons.setdefault(model, {}).setdefault(scope, {})[metric] = found
    return {
        "models": estimates,
        "comparisons": {f"minus {target.against}": comparisons},
        "target": target.model_dump() | comparisons[target.model][target.domain][target.metric],
        "higher_is_better": evaluation.directions,
        "settings": evaluation.settings,
    }


def brief(evaluation: Evaluation, model: str) -> dict[str, dict[str, float]]:
    """Mean of each metric with a direction, by domain."""
    rows: dict[str, dict[str, float]] = {}
    for (name, scope, metric), estimate in evaluation.estimates.items():
        if name == model and scope != OVERALL and evaluation.directions[metric] is not None:
            rows.setdefault(scope, {})[metric] = round(estimate.mean, DIGITS)
    return rows


def tracked(evaluation: Evaluation, target: Target) -> dict[str, float]:
    """`<domain>/<metric>/<model>` for each mean; the target's comparison under `target/`."""
    means = {f"{scope}/{metric}/{model}": each.mean for (model, scope, metric), each in evaluation.estimates.items()}
    compared = evaluation.comparisons[target.model, target.domain, target.metric]
    numbers = {**asdict(compared.comparison), "p_holm": compared.p_holm}
    return means | {f"target/{name}": float(value) for name, value in numbers.items() if value is not None}


def samples(evaluation: Evaluation, documents: Sequence[Document], target: Target) -> list[dict[str, Any]]:
    """Documents at even steps from the worst to the best score of the target model, with what every model wrote."""
    values = {each.document: each.scores[target.metric] for each in evaluation.scored if each.model == target.model}
    ranked = sorted((value, name) for name, value in values.items() if value is not None)
    count = min(SAMPLES, len(ranked))
    steps = [round(at * (len(ranked) - 1) / max(1, count - 1)) for at in range(count)]
    by_id = {document.id: document for document in documents}
    return [
        {
            "document": name,
            "domain": by_id[name].domain,
            "title": by_id[name].title,
            f"{target.metric} of {target.model}": round(value, DIGITS),
            "reference": by_id[name].summary,
            **{model: texts[name] for model, texts in evaluation.summaries.items()},
        }
        for value, name in (ranked[step] for step in steps)
    ]


def terminal(evaluation: Evaluation, target: Target) -> str:
    """A block for each domain, a row for each model, and the target's comparison in words."""
    scopes = sorted({scope for _, scope, _ in evaluation.estimates} - {OVERALL})
    blocks = [_block(evaluation, target, scope) for scope in ([*scopes, OVERALL] if len(scopes) > 1 else scopes)]
    level = evaluation.settings["statistics"]["level"]
    note = f"* differs from {target.against}: Holm-corrected p < {1 - level:.3g}. oracle reads the reference."
    compared = evaluation.comparisons[target.model, target.domain, target.metric]
    return "\n\n".join([*blocks, f"{note}\n{_sentence(compared.comparison, compared.p_holm, target, level)}"])


def _block(evaluation: Evaluation, target: Target, scope: str) -> str:
    """The table of one domain, in parts that are no wider than a terminal."""
    shown = {name for name, higher in evaluation.directions.items() if higher is not None} | {*DESCRIBED}
    there = {metric for _, where, metric in evaluation.estimates if where == scope}
    size = max(each.n for (_, where, _), each in evaluation.estimates.items() if where == scope)
    columns = [[f"{scope} ({size})", *evaluation.summaries]]
    for metric in evaluation.directions:
        if metric in shown & there:
            columns.append(
                [metric, *(_cell(evaluation, target, (name, scope, metric)) for name in evaluation.summaries)]
            )
    return "\n\n".join(_lines(part) for part in _parts(columns))


def _parts(columns: list[list[str]]) -> Iterator[list[list[str]]]:
    """The columns in runs that fit a line, each led by the first."""
    first, part, width = columns[0], list[list[str]](), 0
    for column in columns[1:]:
        more = GAP + max(map(len, column))
        if part and max(map(len, first)) + width + more > LINE:
            yield [first, *part]
            part, width = [], 0
        part, width = [*part, column], width + more
    yield [first, *part]


def _lines(columns: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    gap = " " * GAP
    lines = (gap.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _cell(evaluation: Evaluation, target: Target, key: tuple[str, str, str]) -> str:
    estimate = evaluation.estimates.get(key)
    if estimate is None:
        return "- "
    compared = evaluation.comparisons.get(key)
    is_sure = compared is not None and compared.p_holm < 1 - evaluation.settings["statistics"]["level"]
    return _number(estimate) + ("*" if is_sure else " ")


def _number(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f}" if abs(estimate.mean) < 2 else f"{estimate.mean:.1f}"


def _sentence(found: Comparison, p_holm: float, target: Target, level: float) -> str:
    interval = "no interval" if found.low is None else f"{level:.0%} interval {found.low:+.3f} to {found.high:+.3f}"
    effect = "" if found.effect is None else f", d_z {found.effect:.2f}"
    return (
        f"{target.domain} {target.metric}, {target.model} minus {target.against}: {found.difference:+.4f} "
        f"({interval}), p {found.p:.4f}, Holm {p_holm:.4f}{effect}, above in {found.above:.1%} of resamples, "
        f"{found.n} documents"
    )
