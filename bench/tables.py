"""The ablation for people: Markdown tables, and the curve of what is kept against what is learned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

AWAY = [sign * step for step in range(0, 200, 5) for sign in (1, -1)]  # points up or down, of a name in the figure
TOLD = ("rouge1", "rougeL", "passive", "paper_phrase", "sentence_words", "words")  # of what was written
COST = {"wall_seconds": "seconds", "tokens_per_second": "tokens a second", "peak_resident_mib": "peak MiB"}


def markdown(found: Mapping[str, Any]) -> str:
    """All tables."""
    old, new, arms = found["old"], found["new"], found["arms"]
    parts = [
        f"Loss on {old}s, the old domain (nats a token of the reference; 'removed': of what `plain` forgets)",
        _table(
            ["arm", "seeds", "after phase 1", "after the last", "forgotten", "removed"],
            [
                [
                    f"`{arm}`",
                    str(len(row["seeds"])),
                    *(_shown(row["old"].get(key)) for key in ("before", "after", "forgotten")),
                    _percent(row["old"].get("removed")),
                ]
                for arm, row in arms.items()
            ],
        ),
        f"Loss on {new}s, the new domain, and on plain text of both",
        _table(
            ["arm", "after phase 1", "after the last", "gained", "less `plain`", "text: change from the backbone"],
            [
                [
                    f"`{arm}`",
                    *(_shown(row["new"].get(key)) for key in ("before", "after", "gained", "against_plain")),
                    _shown(row["text"].get("change")),
                ]
                for arm, row in arms.items()
            ],
        ),
    ]
    if any(row["cost"] for row in arms.values()):
        parts += ["Training of the last phase: what it cost", _costs(arms)]
    if any(row["reports"] for row in arms.values()):
        parts += ["What the last phase's terms and constraints say of themselves, before and after", _reports(arms)]
    if any(row.get("written") for row in arms.values()):
        parts += ["Generated summaries", _written(arms)]
    purposes = "\n".join(f"- `{arm}`: {row['purpose']}" for arm, row in arms.items())
    return "\n\n".join([*parts, purposes]) + "\n"


def curve(found: Mapping[str, Any], path: Path) -> None:
    """Draw a point for each arm, better below and better to the left, as an SVG that is the same each time."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "ablation", "svg.fonttype": "none", "font.size": 8}):
        figure, axes = plt.subplots(figsize=(8, 5))
        points = sorted(
            (row["new"]["after"]["value"], row["old"]["after"]["value"], arm) for arm, row in found["arms"].items()
        )
        for x, y, arm in points:
            axes.plot(x, y, "o", color="tab:red" if arm == "full" else "tab:blue", markersize=4)
        axes.set_xlabel(f"loss on {found['new']}s, the new domain (nats a token)")
        axes.set_ylabel(f"loss on {found['old']}s, the old domain (nats a token)")
        axes.set_title("after the last phase, mean over seeds")
        axes.grid(alpha=0.3)
        axes.margins(x=0.12)  # room for the names on the right
        figure.tight_layout()
        _name(axes, points)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _name(axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Put a name beside each point, as near as the names already there allow."""
    taken: list[tuple[float, float, float]] = []  # left, right and height of a name, in points
    line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.5}
    for x, y, name in points:
        across, up = axes.transData.transform((x, y)) * 72 / axes.figure.dpi
        left, right = across + 6, across + 6 + 5 * len(name)
        free = (
            away
            for away in AWAY
            if not any(left < end and start < right and abs(up + away - height) < 9 for start, end, height in taken)
        )
        away = next(free, 0)
        taken.append((left, right, up + away))
        axes.annotate(name, (x, y), xytext=(6, away), textcoords="offset points", arrowprops=line, va="center")


def _costs(arms: Mapping[str, Any]) -> str:
    rows = [[f"`{arm}`", *(_number(row["cost"].get(key), 0) for key in COST)] for arm, row in arms.items()]
    return _table(["arm", *COST.values()], rows)


def _reports(arms: Mapping[str, Any]) -> str:
    rows = []
    for arm, row in arms.items():
        before, after = (row["reports"].get(when, {}) for when in ("before", "after"))
        rows += [
            [f"`{arm}`", name, _significant(before.get(name)), _significant(after.get(name))]
            for name in sorted(before.keys() | after.keys())
        ]
    return _table(["arm", "what", "before", "after"], rows)


def _written(arms: Mapping[str, Any]) -> str:
    rows = [
        [
            f"`{arm}`",
            domain,
            metric,
            *(_shown(metrics[metric].get(key)) for key in ("reference", "before", "after", "change")),
        ]
        for arm, row in arms.items()
        for domain, metrics in row.get("written", {}).items()
        for metric in TOLD
        if metric in metrics
    ]
    return _table(["arm", "domain", "metric", "references", "after phase 1", "after the last", "change"], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _shown(interval: Mapping[str, Any] | None, digits: int = 3) -> str:
    if interval is None:
        return ""
    if interval["low"] is None:
        return f"{interval['value']:.{digits}f}"
    return f"{interval['value']:.{digits}f} [{interval['low']:.{digits}f}, {interval['high']:.{digits}f}]"


def _percent(interval: Mapping[str, Any] | None) -> str:
    if interval is None:
        return ""
    scaled = {key: None if value is None else 100 * value for key, value in interval.items()}
    shown = _shown(scaled, 0)
    return shown.replace(" [", " % [") if " [" in shown else f"{shown} %"


def _significant(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
