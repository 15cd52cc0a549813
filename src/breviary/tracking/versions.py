"""Versions of registered models, and the files of one: in place where the store is a local folder, else fetched."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from breviary.tracking.store import Connection


def find(connection: Connection, name: str, alias: str | None, number: str | None) -> Any | None:
    """The version of `name` with this alias, or this number; None if there is none."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

    try:
        if alias:
            return connection.client.get_model_version_by_alias(name, alias)
        return connection.client.get_model_version(name, str(number))
    except MlflowException as error:
        if error.error_code in (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), ErrorCode.Name(INVALID_PARAMETER_VALUE)):
            return None  # MLflow calls an alias that is not set an invalid parameter
        raise


def names(connection: Connection) -> list[str]:
    """Every model that is registered, with its aliases."""
    models = connection.client.search_registered_models()
    return sorted(f"{each.name}{''.join(f' @{alias}' for alias in sorted(each.aliases))}" for each in models)


@contextmanager
def files(connection: Connection, version: Any) -> Iterator[Path]:
    """The folder of a model version as it was logged, for as long as the block lasts."""
    from mlflow import artifacts

    uri = connection.client.get_model_version_download_uri(version.name, version.version)
    if uri.startswith("file:"):
        yield Path(artifacts.download_artifacts(artifact_uri=uri, tracking_uri=connection.uri))  # the folder itself
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(artifacts.download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=connection.uri))
