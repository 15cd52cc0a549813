"""The MLflow runs behind receipts: a receipt holds a key, and the run carries that key as a tag."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breviary.lineage.objects import Verdict
from breviary.tracking import store
from breviary.tracking.execution import Execution

LOCAL = "sqlite:///"
TRIES = 20  # runs with one key that are looked at


@dataclass(frozen=True)
class Recorded:
    """What MLflow has of one stage."""

    id: str
    stage: str
    key: str
    status: str
    pipeline: str  # the execution that it ran in
    experiment: str  # "" for a plain `dvc repro`
    wall_seconds: float | None
    peak_mib: float | None  # resident, and on the GPU where that is more

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


def opened(at: str | None = None) -> store.Connection | None:
    """The store `at` this URI, or that of this project; None where it is a local file that nothing has made yet."""
    uri = at or store.uri()
    if uri.startswith(LOCAL) and not Path(uri.removeprefix(LOCAL)).is_file():
        return None
    return store.connect(uri)


def latest(connection: store.Connection, key: str) -> Recorded | None:
    """The last finished run with this key, else the last of any status."""
    order = ["attributes.start_time DESC"]
    wanted = f"tags.`dvc.key` = '{key}'"
    runs = connection.client.search_runs([connection.experiment], wanted, max_results=TRIES, order_by=order)
    finished = [run for run in runs if run.info.status == "FINISHED"]
    return _recorded((finished or list(runs))[0]) if runs else None


def asking(connection: store.Connection | None) -> Callable[[str, str], Verdict]:
    """The question whether MLflow has a finished run of a stage with a key."""

    def ask(stage: str, key: str) -> Verdict:
        found = latest(connection, key) if connection else None
        if found is None:
            remedy = (
                "run `breviary sync`, set MLFLOW_TRACKING_URI to where it was recorded, or leave this out by --no-runs"
            )
            return Verdict("missing", f"no run with this key in {store.uri()}", remedy)
        if found.status != "FINISHED" or found.stage != stage:
            remedy = f"run `dvc repro -f -s {stage}`, which records a new one"
            return Verdict("wrong", f"run {found.id} is {found.status}, of stage {found.stage}", remedy)
        return Verdict("holds", f"run {found.id}")

    return ask


def _recorded(run: Any) -> Recorded:
    tags, metrics = run.data.tags, run.data.metrics
    peaks = [metrics[name] for name in ("peak_resident_mib", "peak_cuda_reserved_mib") if name in metrics]
    return Recorded(
        run.info.run_id,
        tags.get("dvc.stage", ""),
        tags.get("dvc.key", ""),
        run.info.status,
        Execution.of(tags).tag,
        tags.get("dvc.exp", ""),
        metrics.get("wall_seconds"),
        max(peaks, default=None),
    )
