"""What a parent run shows of its execution: which run stands behind each stage, and the final table of results."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from breviary.tracking.execution import PIPELINE, Execution
from breviary.tracking.store import Connection

SHOWN = "mlflow.loggedArtifacts"  # the tag that lists what the MLflow page draws as a table
NUMBERS = ("wall_seconds", "peak_resident_mib")
BATCH = 500  # metrics a request


def row(stage: str, run: Any | None, execution: Execution) -> dict[str, Any]:
    """One line of stages.json. Without a run (it is in another store) how the stage came about is not known."""
    if run is None:
        return {"stage": stage, "run": None, "how": "unknown"} | dict.fromkeys(NUMBERS)
    how = "ran" if run.data.tags.get(PIPELINE) == execution.tag else "cached"
    return {"stage": stage, "run": run.info.run_id, "how": how} | {name: run.data.metrics.get(name) for name in NUMBERS}


def results(connection: Connection, run: str, evaluation: Mapping[str, Any], when: int) -> None:
    """Log data/evaluation.json: each model's mean by domain and metric, and the comparison that was chosen before.

    `when` (milliseconds) is the moment of the evaluation: of equal metrics of one moment MLflow keeps one, so that
    logging them again adds nothing.
    """
    rows = list(_means(evaluation.get("models", {})))
    if not rows:
        return
    target = {key: value for key, value in evaluation.get("target", {}).items() if not isinstance(value, list | dict)}
    table(connection, run, "results.json", rows)
    table(connection, run, "target.json", [target])
    named = {f"{each['model']}/{each['domain']}/{each['metric']}": each["mean"] for each in rows}
    named |= {f"target/{key}": value for key, value in target.items() if _is_number(value)}
    from mlflow.entities import Metric

    metrics = [Metric(name, float(value), when, 0) for name, value in sorted(named.items())]
    for start in range(0, len(metrics), BATCH):
        connection.client.log_batch(run, metrics[start : start + BATCH])


def table(connection: Connection, run: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Log rows that the MLflow page shows as a table, in place of the last of that name."""
    columns = list(dict.fromkeys(column for each in rows for column in each))
    content = {"columns": columns, "data": [[each.get(column) for column in columns] for each in rows]}
    connection.client.log_text(run, json.dumps(content, ensure_ascii=False), name)
    listed = json.loads(connection.client.get_run(run).data.tags.get(SHOWN, "[]"))
    entry = {"path": name, "type": "table"}
    if entry not in listed:
        connection.client.set_tag(run, SHOWN, json.dumps([*listed, entry]))


def _means(models: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for model, domains in models.items():
        for domain, metrics in domains.items():
            for metric, value in metrics.items():
                if isinstance(value, Mapping) and _is_number(value.get("mean")):
                    kept = {key: value.get(key) for key in ("mean", "low", "high", "n")}
                    yield {"model": model, "domain": domain, "metric": metric} | kept


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
