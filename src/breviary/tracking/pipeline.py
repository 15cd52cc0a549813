"""The parent run of one execution of the pipeline: what its stages, cached ones too, amount to.

Every stage's run carries the name of its execution as a tag. The parent is made by whoever uploads the first of these
runs; it is RUNNING while one of them is, and has ended when none is. No stage ever waits for it, and what failed is
mended by the next `breviary sync`: the tag of the children alone decides.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from breviary.tracking import outcome
from breviary.tracking.execution import PIPELINE, Execution
from breviary.tracking.locks import locked
from breviary.tracking.spool import home
from breviary.tracking.store import Connection

KIND = "breviary.kind"  # a tag of the parent alone
PARENT = "mlflow.parentRunId"
STAGE = "dvc.stage"
EVALUATE = "evaluate"  # the stage whose results are the parent's too
PAGE = 200  # runs a request


def attach(connection: Connection, run: str) -> None:
    """Put a stage's run below its parent, which is made if need be and ends when the last child has."""
    child = connection.client.get_run(run)
    execution = Execution.of(child.data.tags)
    if not execution.tag:
        return
    with locked(_lock()):
        parent = _parent(connection, execution, child.info.start_time)
        if child.data.tags.get(PARENT) != parent:
            connection.client.set_tag(run, PARENT, parent)
        _settle(connection, execution, parent)


def gather(
    connection: Connection,
    keys: Mapping[str, str],
    evaluation: Mapping[str, Any],
    execution: Execution | None = None,
) -> str | None:
    """Give the parent of an execution its table of stages and the results of data/evaluation.json; can be repeated.

    `keys` is the key in the receipt of each stage. A stage whose run is of another execution was cached in this one.
    Without an `execution` it is that of the newest of the runs. Gives the parent's id, None where there is none.
    """
    runs = {stage: _finished(connection, key) for stage, key in sorted(keys.items())}
    known = sorted((run for run in runs.values() if run), key=lambda run: run.info.start_time)
    execution = execution or Execution.of(known[-1].data.tags if known else {})
    if not execution.tag:
        return None
    with locked(_lock()):
        parent = _parent(connection, execution, known[0].info.start_time if known else None)
        for child in _children(connection, execution):
            if child.data.tags.get(PARENT) != parent:
                connection.client.set_tag(child.info.run_id, PARENT, parent)
        rows = [outcome.row(stage, run, execution) for stage, run in runs.items()]
        outcome.table(connection, parent, "stages.json", rows)
        measured = runs.get(EVALUATE)
        outcome.results(connection, parent, evaluation, measured.info.end_time if measured else 0)
        _settle(connection, execution, parent)
    return parent


def settle(connection: Connection) -> None:
    """End every parent that says RUNNING though none of its stages is."""
    with locked(_lock()):
        for parent in _all(connection, f"tags.`{KIND}` = 'pipeline' and attributes.status = 'RUNNING'"):
            _settle(connection, Execution.of(parent.data.tags), parent.info.run_id)


def _lock() -> Any:
    return home() / "pipeline.lock"


def _parent(connection: Connection, execution: Execution, began: int | None) -> str:
    """The parent's id. Of two that two machines made at once, the older counts."""
    query = f"tags.`{PIPELINE}` = '{execution.tag}' and tags.`{KIND}` = 'pipeline'"
    order = ["attributes.start_time ASC", "attributes.run_id ASC"]
    runs = connection.client.search_runs([connection.experiment], query, max_results=1, order_by=order)
    if runs:
        return runs[0].info.run_id
    tags = {PIPELINE: execution.tag, KIND: "pipeline", "git.commit": execution.baseline}
    tags |= {"dvc.exp": execution.experiment, "dvc.baseline": execution.baseline}
    return connection.client.create_run(connection.experiment, began, tags, execution.name).info.run_id


def _settle(connection: Connection, execution: Execution, parent: str) -> None:
    """Give the parent the status of its stages: RUNNING while one is, FAILED where the last try of one failed."""
    latest: dict[str, Any] = {}
    for run in _children(connection, execution):
        latest.setdefault(run.data.tags[STAGE], run)  # the newest comes first
    states = {run.info.status for run in latest.values()}
    status = "RUNNING" if "RUNNING" in states else "FAILED" if states & {"FAILED", "KILLED"} else "FINISHED"
    known = connection.client.get_run(parent).info
    ended = max((run.info.end_time or 0 for run in latest.values()), default=0) or known.start_time
    if status == "RUNNING" and known.status != status:
        connection.client.update_run(parent, status=status)
    elif status != "RUNNING" and (known.status, known.end_time) != (status, ended):
        connection.client.set_terminated(parent, status, ended)


def _children(connection: Connection, execution: Execution) -> Iterator[Any]:
    """The runs of an execution's stages, newest first."""
    return _all(connection, f"tags.`{PIPELINE}` = '{execution.tag}' and tags.`{STAGE}` LIKE '%'")


def _all(connection: Connection, query: str) -> Iterator[Any]:
    search, token = connection.client.search_runs, None
    order = ["attributes.start_time DESC"]
    while True:
        page = search([connection.experiment], query, max_results=PAGE, order_by=order, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _finished(connection: Connection, key: str) -> Any | None:
    """The last finished run with this key."""
    query, order = f"tags.`dvc.key` = '{key}' and attributes.status = 'FINISHED'", ["attributes.end_time DESC"]
    runs = connection.client.search_runs([connection.experiment], query, max_results=1, order_by=order)
    return runs[0] if runs else None
