"""What a finished training leaves for people to read: a few numbers, and its curve."""

from collections.abc import Mapping
from typing import Any

from breviary.learn.checkpoint import Progress


def summary(progress: Progress) -> dict[str, Any]:
    """Validation before, at its best and at the end, and what terms and constraints said."""
    validated = [row for row in progress.curve if "valid/mean" in row]
    kept = next(row for row in validated if row["step"] == progress.best_step)
    return {
        "steps": progress.step,
        "best_step": progress.best_step,
        "nonfinite": progress.dropped,
        "valid": {
            name: {key.removeprefix("valid/"): round(row[key], 4) for key in row if key.startswith("valid/")}
            for name, row in (("before", validated[0]), ("best", kept), ("last", validated[-1]))
        },
        "reports": shown({when: found for when, found in progress.reports.items() if found}),
    }


def curve(progress: Progress) -> str:
    """Every step as a line of CSV."""
    columns = sorted({key for row in progress.curve for key in row} - {"step"})
    lines = [",".join(["step", *columns])]
    lines += [",".join([str(row["step"]), *(str(row.get(key, "")) for key in columns)]) for row in progress.curve]
    return "\n".join(lines) + "\n"


def shown(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Four digits of each, which is more than such numbers mean."""
    return {name: {key: float(f"{value:.4g}") for key, value in each.items()} for name, each in values.items()}
