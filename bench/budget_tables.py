"""What a benchmark of budgets found, by arm: numbers, Markdown and a figure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLORS = {"greedy": "tab:blue", "fast": "tab:green", "quality": "tab:red", "planned": "black"}


def summary(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """A line for each arm, in the order of the arms' names and budgets.

    Means and quantiles are over the summaries that were written; `refused` is the share for which the plan said that
    the time is too short. `late` and `long` are the shares beyond the budget.
    """
    by_arm: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        by_arm[row.arm].append(row)
    order = sorted(by_arm, key=lambda arm: (arm.ms is not None, arm.profile, arm.ms or 0, arm.max_tokens))
    return [_line(arm, by_arm[arm]) for arm in order]


def _line(arm: Any, rows: Sequence[Any]) -> dict[str, Any]:
    made = [row for row in rows if not row.refused]
    line = {
        "profile": arm.profile,
        "max_tokens": arm.max_tokens,
        "max_ms": arm.ms,
        "documents": len(rows),
        "refused": 1 - len(made) / len(rows),
    }
    if not made:
        return line
    times = [row.milliseconds for row in made]
    return line | {
        "rouge1": _mean(made, "rouge1"),
        "rougeL": _mean(made, "rougeL"),
        "tokens": _mean(made, "tokens"),
        "whole": _mean(made, "whole"),
        "long": sum(row.tokens > arm.max_tokens for row in made) / len(made),
        "late": sum(arm.ms is not None and ms > arm.ms for ms in times) / len(made),
        "p50_ms": float(np.quantile(times, 0.5)),
        "p95_ms": float(np.quantile(times, 0.95)),
        "used": {name: sum(row.used == name for row in made) for name in sorted({row.used for row in made})},
    }


def _mean(rows: Sequence[Any], name: str) -> float:
    return float(np.mean([getattr(row, name) for row in rows]))


def markdown(found: Mapping[str, Any]) -> str:
    """Two tables, and a sentence on prompt lookup and on the prefix."""
    arms, lookup, prefix = found["arms"], found["lookup"], found["prefix"]
    parts = [f"{found['documents']} test documents"]
    for title, lines in (
        ("Within a number of tokens", [line for line in arms if line["max_ms"] is None]),
        ("Within a number of milliseconds", [line for line in arms if line["max_ms"] is not None]),
    ):
        parts += [title, _table(lines)]
    parts += [
        f"Prompt lookup ({lookup['guessed']} tokens guessed at a time, greedy): "
        f"{lookup['tokens_per_second_with_lookup']:.1f} tokens a second instead of {lookup['tokens_per_second']:.1f} "
        f"(median ratio {lookup['ratio']:.2f}); {lookup['equal_texts']:.0%} of the texts are equal.",
        f"Reading a prompt of {prefix['prompt_tokens']} tokens whose first {prefix['prefix_tokens']} are already read "
        f"takes {prefix['ratio']:.2f} of the time.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(lines: Sequence[Mapping[str, Any]]) -> str:
    header = [
        "profile",
        "budget",
        "refused",
        "ROUGE-1",
        "ROUGE-L",
        "tokens",
        "whole",
        "over budget",
        "p50 ms",
        "p95 ms",
    ]
    rows = [header, ["---"] * len(header)]
    for line in lines:
        timed = line["max_ms"] is not None
        row = [line["profile"], f"{line['max_ms']} ms" if timed else str(line["max_tokens"]), f"{line['refused']:.0%}"]
        if "rouge1" in line:
            row += [f"{line[name]:.3f}" for name in ("rouge1", "rougeL")]
            row += [f"{line['tokens']:.0f}", f"{line['whole']:.0%}", f"{line['late' if timed else 'long']:.1%}"]
            row += [f"{line[name]:,.0f}" for name in ("p50_ms", "p95_ms")]
        rows.append([*row, *[""] * (len(header) - len(row))])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def figure(arms: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw ROUGE-L against the budget of tokens, and against that of milliseconds, as an SVG."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "budget", "svg.fonttype": "none", "font.size": 9}):
        drawn, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
        for axes, key, label in zip(panels, ("max_tokens", "max_ms"), ("tokens", "milliseconds"), strict=True):
            timed = key == "max_ms"
            shown = [line for line in arms if (line["max_ms"] is not None) == timed and "rougeL" in line]
            for name in sorted({line["profile"] for line in shown}):
                points = [(line[key], line["rougeL"]) for line in shown if line["profile"] == name]
                axes.plot(*zip(*points, strict=True), "o-", label=name, color=COLORS.get(name))
            axes.set_xlabel(f"budget, {label}")
            axes.grid(alpha=0.3)
            if timed:
                axes.set_xscale("log", base=2)
                axes.xaxis.set_major_formatter("{x:.0f}")
            if shown:
                axes.legend()
        panels[0].set_ylabel("ROUGE-L F1")
        drawn.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(drawn)
