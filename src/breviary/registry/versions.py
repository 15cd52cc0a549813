"""Registered versions: one for each content, found again by tags that are hashes of it.

    dvc.md5        DVC's md5 of the adapter's folder, as in dvc.lock
    serving        hash of the settings that it is served with: the same adapter, asked otherwise, is another model
    dvc.path, dvc.stage, dvc.exp, git.commit, receipt.key, stages, metric.<domain>.<metric>    where it comes from
    gate, gate.decision, gate.reasons    what the gate said

A version belongs to the run that trained it, so that curves are one click from it.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from pydantic import Field

from breviary import artifacts, config
from breviary.errors import BreviaryError, RegistryError
from breviary.tracking import store, uploader

CANDIDATE, CHAMPION = "candidate", "champion"
URI = re.compile(r"models:/(?P<name>[^/:@]+)(?:@(?P<alias>[^/]+)|/(?P<number>\d+))")


class Options(config.Options):
    """Section `register`: which trained model is registered under which name."""

    models: dict[str, str] = Field(min_length=1)


@dataclass(frozen=True)
class Version:
    """One registered version."""

    name: str
    number: str
    tags: Mapping[str, str]
    run: str | None  # MLflow's id of the run that trained it
    model: str  # MLflow's id of its files

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"

    @property
    def content(self) -> dict[str, str]:
        """What it is: tags that no other version of the name has together."""
        return {name: self.tags.get(name, "") for name in ("dvc.md5", "serving")}


@contextmanager
def talking(what: str) -> Iterator[None]:
    """Whatever MLflow or its server raises in the block, as a RegistryError that says what was not done."""
    try:
        yield
    except BreviaryError:
        raise
    except Exception as error:  # MLflow's own, a database's, a server's
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise RegistryError(
            f"{what}: MLflow at {store.uri()} does not answer as it should ({first}); start or mend it, or unset "
            "MLFLOW_TRACKING_URI to use the project's own store, and do this again: what was done is found again"
        ) from None


def opened() -> store.Connection:
    """The registry where runs go, too. Raises RegistryError if it cannot be reached."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with talking("the model registry cannot be opened"):
        return store.connect(store.uri())


def exists() -> bool:
    """Whether there is a registry to ask, without asking it: the project's own comes with its first run."""
    return not store.uri().startswith("sqlite:///") or Path(store.uri().removeprefix("sqlite:///")).is_file()


def get(connection: store.Connection, name: str, number: str) -> Version:
    """The version. Raises RegistryError naming those that there are."""
    known = {each.number: each for each in every(connection, name)}
    if number not in known:
        there = ", ".join(sorted(known, key=int)) or "none"
        raise RegistryError(
            f"{name} has no version {number} (there is: {there}); `breviary promote` takes one of these"
        )
    return known[number]


def every(connection: store.Connection, name: str) -> list[Version]:
    """All versions of `name`, oldest first."""
    with talking(f"versions of {name} were not read"):
        found = connection.client.search_model_versions(f"name = '{name}'", max_results=10_000)
        return sorted((_version(each) for each in found), key=lambda version: int(version.number))


def find(connection: store.Connection, name: str, content: Mapping[str, str]) -> Version | None:
    """The version of this content, if it is registered."""
    wanted = " and ".join([f"name = '{name}'", *(f"tags.`{key}` = '{content[key]}'" for key in sorted(content))])
    with talking(f"versions of {name} were not read"):
        found = connection.client.search_model_versions(wanted)
        return min(map(_version, found), key=lambda version: int(version.number), default=None)


def aliased(connection: store.Connection, name: str, alias: str) -> Version | None:
    """The version that `alias` stands for, if any."""
    from mlflow.exceptions import MlflowException

    with talking(f"{name}@{alias} was not read"):
        try:
            return _version(connection.client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def at(connection: store.Connection, uri: str) -> Version:
    """The version of `models:/NAME@ALIAS` or `models:/NAME/NUMBER`. Raises RegistryError if there is none."""
    match = URI.fullmatch(uri)
    if match is None:
        raise RegistryError(f"'{uri}' is no address of a model; write models:/breviary@champion or models:/breviary/3")
    if match["number"]:
        return get(connection, match["name"], match["number"])
    found = aliased(connection, match["name"], match["alias"])
    if found is None:
        raise RegistryError(
            f"{uri}: no such model or alias; `dvc repro register` registers one, `breviary promote` chooses"
        )
    return found


def register(connection: store.Connection, name: str, folder: Path, tags: Mapping[str, str], run: str) -> Version:
    """A new version of `name` with the files of `folder`, which `run` made.

    The version comes last, with all its tags: what fails before it leaves none.
    """
    from mlflow.exceptions import MlflowException

    client = connection.client
    with talking(f"{name} was not registered"):
        with suppress(MlflowException):  # it is there already, or what follows says what is wrong
            client.create_registered_model(name)
        made = client.create_logged_model(connection.experiment, name, source_run_id=run, tags=dict(tags))
        try:
            client.log_model_artifacts(made.model_id, str(folder))
        except BaseException:
            with suppress(Exception):
                client.finalize_logged_model(made.model_id, "FAILED")
            raise
        client.finalize_logged_model(made.model_id, "READY")
        with _default(connection.uri):
            source = f"models:/{made.model_id}"
            return _version(client.create_model_version(name, source, run, dict(tags), model_id=made.model_id))


def mark(connection: store.Connection, version: Version, tags: Mapping[str, str]) -> None:
    """Set tags of the version, and of the run that trained it under the name of the model."""
    with talking(f"{version} was not tagged"):
        for name in sorted(tags):
            connection.client.set_model_version_tag(version.name, version.number, name, tags[name])
        if version.run:
            connection.client.set_tag(version.run, f"{version.name}.gate", tags["gate"])


def point(connection: store.Connection, alias: str, version: Version) -> None:
    """Let `alias` stand for `version`."""
    with talking(f"alias {alias} was not set to {version}"):
        connection.client.set_registered_model_alias(version.name, alias, version.number)


def folder(connection: store.Connection, version: Version, downloads: Path) -> Path:
    """The files of `version`: where they are, if that is on this disk, and otherwise in `downloads`."""
    from mlflow.artifacts import download_artifacts

    with talking(f"the files of {version} were not read"):
        location = connection.client.get_logged_model(version.model).artifact_location
        if location.startswith("file:"):
            place = Path(unquote(urlparse(location).path))
        else:
            place = downloads / version.model
            if not place.is_dir():
                with artifacts.atomic(place) as part:
                    part.mkdir(parents=True)
                    download_artifacts(artifact_uri=location, dst_path=str(part), tracking_uri=connection.uri)
    if not (place / "MLmodel").is_file():
        raise RegistryError(
            f"the files of {version} are gone from {place}; bring them back, or `breviary promote` another version"
        )
    return place


def trained(connection: store.Connection, receipt: Path, name: str) -> str:
    """The run of the stage that wrote `receipt`; if MLflow lacks it, even after upload, a run made for `name`."""
    found = store.find(receipt) if receipt.is_file() else None
    if found is None:
        list(uploader.sync())
        found = store.find(receipt) if receipt.is_file() else None
    if found is None:
        tags = {"dvc.stage": "register", "breviary.stands_for": receipt.stem}
        made = connection.client.create_run(connection.experiment, tags=tags, run_name=f"register {name}")
        found = made.info.run_id
        connection.client.set_terminated(found)
    return found


@contextmanager
def _default(uri: str) -> Iterator[None]:
    """MLflow looks for a version's files in the store that is its default, whatever store the client speaks to."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = uri
    try:
        yield
    finally:
        if before is None:
            del os.environ["MLFLOW_TRACKING_URI"]
        else:
            os.environ["MLFLOW_TRACKING_URI"] = before


def _version(found: Any) -> Version:
    model = str(found.source).removeprefix("models:/")
    return Version(found.name, str(found.version), dict(found.tags), found.run_id or None, model)
