"""How long each stage took and how much memory it needed, as MLflow knows it by the stages' receipts.

It differs from machine to machine and from run to run, so that it stands on the page and not in report.json. Of a run
that was killed and resumed, time is that of the last attempt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from breviary import artifacts
from breviary.lineage.recorded import latest, opened
from breviary.tracking.runs import RECEIPTS


@dataclass(frozen=True)
class Spent:
    """What the run of one stage took; None where MLflow has no such number."""

    stage: str
    seconds: float | None
    peak_mib: float | None  # resident, or on the GPU where that is more


def spent(receipts: Path = RECEIPTS) -> tuple[list[Spent], str]:
    """What each stage took, and what to say of those of which nothing is known; never an error."""
    files = sorted(receipts.glob("*.json"))
    if not files:
        return [], f"There are no receipts in {receipts}/: nothing has been run here."
    try:
        found = list(_found(files))
    except Exception as error:  # a server that is away, a store of another version: the rest of the page stands
        return [], f"MLflow did not answer ({type(error).__name__})."
    known = {each.stage for each in found}
    if not known:
        return [], "The runs are not here: MLflow's store stays on the machine where they were made."
    lacking = [path.stem for path in files if path.stem not in known]
    return found, f"MLflow has no run of {', '.join(lacking)}." if lacking else ""


def _found(files: list[Path]) -> Iterator[Spent]:
    connection = opened()
    for path in files:
        run = latest(connection, artifacts.read_json(path)["key"]) if connection else None
        if run is not None:
            yield Spent(path.stem, run.wall_seconds, run.peak_mib)
