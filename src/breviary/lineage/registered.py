"""From a registered version to the stage that wrote it: the logged files, the run, the receipts.

A version carries what it was made of as tags: dvc.md5 (of the adapter's folder), dvc.path, dvc.stage, receipt.key, and
`stages`, the receipt's key of every stage that it stands on, as JSON.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from breviary.errors import ArtifactError
from breviary.lineage import hashing, lock
from breviary.lineage.chain import HOLDS, Link, Walk
from breviary.lineage.lock import Place
from breviary.lineage.objects import Objects, Verdict
from breviary.lineage.recorded import asking, opened
from breviary.tracking import store, versions

NAMED = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))")
ADAPTER = "adapter_config.json"  # what tells the adapter's folder from what MLflow adds
AGAIN = "run `dvc repro -f -s register`, which registers it again"


def links(objects: Objects, uri: str) -> Iterator[Link]:
    """Every link from the registered version that `uri` names. Raises ArtifactError where there is none."""
    connection = opened()
    version = _version(connection, uri)
    assert connection is not None
    tags = version.tags
    title = f"{version.name} version {version.version}"
    if "dvc.md5" not in tags:
        verdict = Verdict("missing", "no tag dvc.md5: not registered by this project's pipeline", AGAIN)
        yield Link(0, "registered", title, "", verdict)
        return
    yield Link(0, "registered", title, tags["dvc.md5"], HOLDS)
    yield Link(1, "files", "the adapter as it was logged", tags["dvc.md5"], _logged(connection, version))
    place = _place(objects, tags)
    if place is None:
        note = "no dvc.lock, of the workspace, an experiment or a commit, holds this content"
        remedy = "run `git fetch origin 'refs/exps/*:refs/exps/*'`, or check out the branch that it was made on"
        yield Link(1, "lock", "dvc.lock", tags["dvc.md5"], Verdict("missing", note, remedy))
        return
    yield Link(1, "receipts", f"keys of {place.stage} and of what it stands on", "", _keys(objects, place, tags))
    yield from Walk(objects, place, asking(connection)).links(1)


def _version(connection: store.Connection | None, uri: str) -> Any:
    named = NAMED.fullmatch(uri)
    if not named:
        raise ArtifactError(f"{uri}: write models:/NAME@ALIAS or models:/NAME/VERSION")
    if connection is None:
        raise ArtifactError(
            f"{uri}: there is no MLflow store at {store.uri()}; run `dvc repro`, which registers models"
        )
    name, alias, number = named.groups()
    found = versions.find(connection, name, alias, number)
    if found is None:
        known = ", ".join(versions.names(connection)) or "nothing yet"
        raise ArtifactError(f"{uri}: not registered (there is: {known}); run `dvc repro register`")
    return found


def _logged(connection: store.Connection, version: Any) -> Verdict:
    """Whether the copy in MLflow is the content that the version's tag names."""
    try:
        with versions.files(connection, version) as folder:
            adapters = [path.parent for path in sorted(folder.rglob(ADAPTER))]
            digests = [hashing.of_folder(path) for path in adapters]
    except Exception as error:  # a server, or its storage, may fail in many ways
        return Verdict("missing", f"its files cannot be read: {str(error).splitlines()[0]}", AGAIN)
    if not digests:
        return Verdict("missing", f"no folder with {ADAPTER} among its files", AGAIN)
    if version.tags["dvc.md5"] not in digests:
        return Verdict("wrong", f"the copy in MLflow is {digests[0][:7]}", AGAIN)
    return Verdict("holds", f"copy in {connection.uri.split('://')[0]} store")


def _place(objects: Objects, tags: dict[str, str]) -> Place | None:
    """Where this content was written: by the very run of the tag if any dvc.lock has it, else by another."""
    places = list(lock.find(objects.repository, tags["dvc.md5"], tags.get("dvc.path")))
    same = [place for place in places if receipt_key(objects, place, place.stage) == tags.get("receipt.key")]
    return next(iter(same or places), None)


def _keys(objects: Objects, place: Place, tags: dict[str, str]) -> Verdict:
    """Whether the receipts are those that the version was registered with."""
    wanted = json.loads(tags.get("stages") or "{}") | {place.stage: tags.get("receipt.key")}
    here = [name for name in (place.stage, *place.lock.before(place.stage)) if name in wanted]
    wrong = [name for name in here if receipt_key(objects, place, name) not in (None, wanted[name])]
    if wrong:
        remedy = f"run `dvc repro -f -s {wrong[0]}` to see whether it gives the same; then `dvc repro register`"
        return Verdict("wrong", f"another receipt than when it was registered: {', '.join(wrong)}", remedy)
    return Verdict("holds", f"{len(here)} stages")


def receipt_key(objects: Objects, place: Place, stage: str) -> str | None:
    """The key in a stage's receipt, None where that cannot be read (the walk says so)."""
    path = f"runs/{stage}.json"
    md5 = place.lock.stages[stage].outs.get(path)
    content = objects.read(place.lock, path, md5) if md5 else None
    try:
        return json.loads(content)["key"] if content else None
    except (ValueError, KeyError, TypeError):
        return None
