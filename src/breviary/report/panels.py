"""Which figures the report has: parts of report.json, turned into what `figures.py` draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from breviary.report import figures
from breviary.report.figures import Series
from breviary.report.spread import PAIRS

Report = Mapping[str, Any]
LEARNING = "loss/cross_entropy"  # the term that is always there


@dataclass(frozen=True)
class Panel:
    """A figure and the words under it."""

    title: str
    drawn: Markup
    note: str = ""


def target(report: Report) -> Panel | None:
    """The target metric of every model in the target's domain."""
    wanted = report["target"]
    rows = [
        {"name": model, "kind": kind(report, model), **cell}
        for table in report["tables"]
        if table["domain"] == wanted["domain"]
        for row in table["judged"]
        if row["metric"] == wanted["metric"]
        for model in [*report["models"], *report["baselines"]]
        if (cell := row["cells"].get(model))
    ]
    if not rows:
        return None
    title = f"{wanted['metric']} of {wanted['domain']} by model"
    note = f"Mean and {wanted['level']:.0%} interval over documents."
    return Panel(title, figures.intervals(title, rows), note)


def losses(report: Report) -> list[Panel]:
    """A panel for the validation loss, one line a domain, and one for each term of the training loss."""
    found = report["curves"]
    names = sorted({name for each in found for name in each["curves"]})
    terms = sorted((name for name in names if name.startswith("loss/")), key=lambda name: (name != LEARNING, name))
    domains = [name for name in names if name.startswith("valid/") and name != "valid/mean"]
    panels = [_curves(found, domains, "validation loss", "Nats a token of the reference summary.")] if domains else []
    return [*panels, *(_curves(found, [name], name.removeprefix("loss/"), "Before its weight.") for name in terms)]


def _curves(found: Sequence[Mapping[str, Any]], names: Sequence[str], title: str, note: str) -> Panel:
    series = [
        Series(name.split("/", 1)[1], [_points(each["curves"].get(name, [])) for each in found], colour)
        for colour, name in enumerate(names, 1)
    ]
    phases = [(each["phase"], each["steps"]) for each in found]
    return Panel(title, figures.lines(f"{title} by step and phase", series, phases), note)


def _points(pairs: Sequence[Sequence[Any]]) -> list[tuple[float, float]]:
    return [(float(step), float(value)) for step, value in pairs]


def lengths(report: Report) -> list[Panel]:
    """A panel for each domain: how many words the summaries of each model have."""
    return [
        Panel(
            domain,
            figures.spreads(
                f"Words of the summaries of {domain}, by model",
                [{"name": row["model"], "kind": kind(report, row["model"]), **row} for row in rows],
            ),
        )
        for domain, rows in report["lengths"].items()
    ]


def pairs(report: Report) -> Panel | None:
    """How the candidates of pair mining scored."""
    found = report["pairs"]
    margins = found["margins"]
    if not margins["counts"]:
        return None
    title = "Candidates by margin"
    counts = {name: margins["counts"][name] for name in kinds_of_pairs(report)}
    drawn = figures.histogram(title, margins["low"], margins["width"], counts, found["min_margin"])
    return Panel(title, drawn)


def kinds_of_pairs(report: Report) -> list[str]:
    """What became of candidates, pairs first."""
    return sorted(report["pairs"]["margins"]["counts"], key=lambda name: (name != PAIRS, name))


def kind(report: Report, model: str) -> str:
    """How a model's row is drawn."""
    if model in report["baselines"]:
        return "baseline"
    return "target" if model == report["target"]["model"] else "model"


def heat(column: Mapping[str, Mapping[str, Any]], higher_is_better: bool) -> dict[str, float]:
    """Where each model stands between the worst (0) and the best (1) of one column of R."""
    means = {model: cell["mean"] for model, cell in column.items()}
    low, high = min(means.values()), max(means.values())
    if low == high:
        return dict.fromkeys(means, 0.5)
    shares = {model: (mean - low) / (high - low) for model, mean in means.items()}
    return {model: round(share if higher_is_better else 1 - share, 3) for model, share in shares.items()}
