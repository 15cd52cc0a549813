"""The MLflow store, and how a spool gets into it. mlflow is imported inside functions only: it takes seconds.

The default is a SQLite store in the project. Two facts shape `connect`: several processes that open an empty store at
once break it for good, so that the first look is taken under a lock; and an experiment's artefact location is fixed
where it is made, from the current folder, so that it is given here in full.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.tracking.locks import locked
from breviary.tracking.spool import Spool, home, uri

__all__ = ["Connection", "connect", "destination", "find", "upload", "uri"]

EXPERIMENT = "breviary"
SQLITE = "sqlite:///"
BATCH = 1000  # metrics a request, MLflow's own limit
LONGEST = 500  # characters of a parameter shown as such; a longer value stands in params.json only
PATIENCE = {  # the client's own defaults wait for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@dataclass(frozen=True)
class Connection:
    """A client and the experiment that runs belong to."""

    client: Any
    experiment: str
    uri: str


def connect(where: str) -> Connection:
    """Open the store at the URI `where`, making it and the experiment if need be."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    with locked(home() / "store.lock"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*``noload`` loader strategy")  # MLflow's use of SQLAlchemy 2.1
        _make(where)
        client = MlflowClient(tracking_uri=where, registry_uri=where)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            place = None if where.startswith(("http", "databricks")) else (home() / "artifacts").as_uri()
            try:
                return Connection(client, client.create_experiment(name, artifact_location=place), where)
            except MlflowException:  # another machine was quicker
                experiment = client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        return Connection(client, experiment.experiment_id, where)


def _make(where: str) -> None:
    """Make a SQLite store that is not there yet, whole or not at all.

    MLflow makes its tables in some forty steps. A process that is killed between two of them, as an uploader is that
    takes too long, leaves a file on which each later connection fails.
    """
    from mlflow import MlflowClient

    path = Path(where.removeprefix(SQLITE))
    if where.startswith(SQLITE) and not path.exists():
        with artifacts.atomic(path) as temporary:
            MlflowClient(tracking_uri=f"{SQLITE}{temporary}").search_experiments(max_results=1)


def destination(spool: Spool) -> str:
    """The URI that was in force when the run started; MLFLOW_TRACKING_URI, where it is set, wins."""
    if "MLFLOW_TRACKING_URI" in os.environ:
        return uri()
    return [uri(), *(event["uri"] for event in spool.read() if event["op"] == "start")][-1]


def find(receipt: Path) -> str | None:
    """The id of the MLflow run that a receipt in `runs/` stands for: the last finished one with its key."""
    connection = connect(uri())
    wanted = f"tags.`dvc.key` = '{artifacts.read_json(receipt)['key']}' and attributes.status = 'FINISHED'"
    order = ["attributes.end_time DESC"]
    runs = connection.client.search_runs([connection.experiment], wanted, max_results=1, order_by=order)
    return runs[0].info.run_id if runs else None


def upload(spool: Spool, connection: Connection) -> str | None:
    """Give MLflow every event that it has not yet; remove the spool once the run has ended and nothing is left.

    Gives the id of the run, None where there is nothing to upload.
    """
    with locked(lock(spool)):
        if not spool.events.exists():
            return None
        if next(spool.read(), {"op": None})["op"] != "start":  # its stage died, or met a full disk, before it began
            _forget(spool)
            return None
        if spool.progress().get("uri") != connection.uri:
            spool.note(uri=connection.uri, offset=0, run=None)
        run, last = spool.progress()["run"], ""
        for event, offset in _merged(spool.pending()):
            run = run or _run(connection, event)
            _apply(connection, run, spool, event)
            spool.note(run=run, offset=offset, error=None)
            last = event["op"]
        if last == "end":
            _forget(spool)
        return run


def lock(spool: Spool) -> Path:
    """What whoever uploads a run holds."""
    return spool.folder.with_name(f"{spool.folder.name}.lock")


def _forget(spool: Spool) -> None:
    spool.remove()
    if not spool.folder.exists():
        lock(spool).unlink(missing_ok=True)


def _merged(events: list[tuple[dict[str, Any], int]]) -> Iterator[tuple[dict[str, Any], int]]:
    """The same events, with neighbouring metrics in one, up to what a request takes."""
    batch: list[dict[str, Any]] = []
    end = 0
    for event, offset in events:
        if batch and (event["op"] != "metrics" or _count(batch) + len(event["values"]) > BATCH):
            yield {"op": "metrics", "steps": batch}, end
            batch = []
        if event["op"] == "metrics":
            batch.append(event)
            end = offset
        else:
            yield event, offset
    if batch:
        yield {"op": "metrics", "steps": batch}, end


def _count(steps: list[dict[str, Any]]) -> int:
    return sum(len(step["values"]) for step in steps)


def _run(connection: Connection, start: dict[str, Any]) -> str:
    """The run of this session, made if it is not there. The tag decides, not a saved id: an answer may get lost."""
    wanted = f"tags.`breviary.session` = '{start['tags']['breviary.session']}'"
    runs = connection.client.search_runs([connection.experiment], wanted, max_results=1)
    if runs:
        return runs[0].info.run_id
    made = connection.client.create_run(connection.experiment, start["time"], start["tags"], start["name"])
    return made.info.run_id


def _apply(connection: Connection, run: str, spool: Spool, event: dict[str, Any]) -> None:
    client = connection.client
    match event["op"]:
        case "start":
            _start(client, run, event)
        case "metrics":
            from mlflow.entities import Metric

            values = [(step, name, value) for step in event["steps"] for name, value in step["values"].items()]
            client.log_batch(run, [Metric(name, value, step["time"], step["step"]) for step, name, value in values])
        case "tags":
            _tags(client, run, event["tags"])
        case "file":
            path = spool.folder / event["path"]
            if path.is_dir():
                client.log_artifacts(run, str(path), path.name)
            else:
                client.log_artifact(run, str(path))
            _tags(client, run, event["tags"])
        case "end":
            client.set_terminated(run, event["status"], event["time"])


def _start(client: Any, run: str, event: dict[str, Any]) -> None:
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag, Param

    known = client.get_run(run)
    if known.info.status != "RUNNING":
        client.update_run(run, status="RUNNING")
    if not known.data.params:  # MLflow refuses a changed parameter, and a resumed run has them already
        short = {name: value for name, value in event["params"].items() if len(value) <= LONGEST}
        client.log_batch(run, params=[Param(name, value) for name, value in sorted(short.items())])
    _tags(client, run, event["tags"])
    read = []
    for item in event["inputs"]:
        source = CodeDatasetSource(tags={"dvc.path": item["name"]})
        dataset = MetaDataset(source=source, name=item["name"], digest=item["md5"])
        read.append(DatasetInput(dataset._to_mlflow_entity(), [InputTag("dvc.path", item["name"])]))
    if read:
        client.log_inputs(run, read)


def _tags(client: Any, run: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    if tags:
        client.log_batch(run, tags=[RunTag(name, value) for name, value in sorted(tags.items())])
