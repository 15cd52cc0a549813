"""What each phase measured while it learned, from metrics/curves/<phase>.csv.

Columns are `loss/<term>` (each term before its weight), `valid/<domain>`, and others that are left out here. A long
curve is thinned to about `POINTS` points, the first and the last kept.
"""

import csv
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from breviary.errors import ArtifactError

POINTS = 300
FAMILIES = ("loss", "valid")


def curves(files: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Each phase's name, number of steps, and curves: name -> [step, value] pairs."""
    return [{"phase": phase, **read(path)} for phase, path in files.items()]


def read(path: Path) -> dict[str, Any]:
    """The steps and curves of one file. Raises ArtifactError with the line that cannot be read."""
    found: dict[str, list[tuple[int, float]]] = {}
    steps = 0
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                step = int(row.pop("step"))
                values = {name: float(value) for name, value in row.items() if value}
            except (KeyError, TypeError, ValueError) as error:
                raise ArtifactError(
                    f"{path}:{number}: not a line of a curve ({error}); train this phase again"
                ) from None
            steps = max(steps, step)
            for name, value in values.items():
                if name.split("/")[0] in FAMILIES:
                    found.setdefault(name, []).append((step, value))
    return {"steps": steps, "curves": {name: thinned(points) for name, points in sorted(found.items())}}


def thinned(points: Sequence[tuple[int, float]]) -> list[list[Any]]:
    """About `POINTS` of `points` at even distances, with the last."""
    every = max(1, ceil(len(points) / POINTS))
    kept = [*points[::every]]
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return [[step, value] for step, value in kept]
