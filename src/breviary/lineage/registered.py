"""From a registered version to the stage that wrote it: the logged files, the run, the receipts.

A version carries what it was made of as tags: dvc.md5 (of the adapter's folder), dvc.path, dvc.stage, receipt.key, and
`stages`, the receipt's key of every stage that it stands on, as JSON.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from breviary.errors import RegistryError
from breviary.lineage import hashing, lock
from breviary.lineage.chain import HOLDS, Link, Walk
from breviary.lineage.lock import Place
from breviary.lineage.objects import Objects, Verdict
from breviary.lineage.recorded import asking
from breviary.registry import versions
from breviary.tracking import store

ADAPTER, RECORD = "artifacts/adapter", "artifacts/base.json"  # in the folder of a version
BASE = "models/base.json"
AGAIN = "run `dvc repro -f -s register`, which registers it again"
LOST = Verdict(
    "missing",
    "no dvc.lock, of the workspace, an experiment or a commit, holds this content",
    "run `git fetch origin 'refs/exps/*:refs/exps/*'`, or check out the branch that it was made on",
)


def links(objects: Objects, uri: str, *, runs: bool = True) -> Iterator[Link]:
    """Every link from the registered version that `uri` names. Raises RegistryError where there is none."""
    if not versions.exists():
        raise RegistryError(
            f"{uri}: there is no MLflow store at {store.uri()}; run `dvc repro`, which registers models"
        )
    connection = versions.opened()
    version = versions.at(connection, uri)
    md5 = version.tags.get("dvc.md5", "")
    if not md5:
        verdict = Verdict("missing", "no tag dvc.md5: not registered by this project's pipeline", AGAIN)
        yield Link(0, "registered", str(version), "", verdict)
        return
    yield Link(0, "registered", str(version), md5, HOLDS)
    with tempfile.TemporaryDirectory() as downloads:
        try:
            folder = versions.folder(connection, version, Path(downloads))
        except RegistryError as error:
            yield Link(1, "files", ADAPTER, md5, Verdict("missing", str(error), AGAIN))
            return
        yield Link(1, "files", ADAPTER, md5, _logged(folder, md5))
        place = _place(objects, version.tags)
        if place is None:
            yield Link(1, "lock", "dvc.lock", md5, LOST)
            return
        if record := _record(folder, place):
            yield Link(1, "files", RECORD, "", record)
    yield Link(1, "receipts", f"{place.stage} and what it stands on", "", _keys(objects, place, version.tags))
    yield from Walk(objects, place, asking(connection) if runs else None).links(1)


def _logged(folder: Path, md5: str) -> Verdict:
    """Whether the adapter in the registry is the content that the version's tag names."""
    adapter = folder / ADAPTER
    if not adapter.is_dir():
        return Verdict("missing", f"no {ADAPTER} among its files", AGAIN)
    found = hashing.of_folder(adapter)
    if found != md5:
        return Verdict("wrong", f"the copy in the registry is {found[:7]}", AGAIN)
    return Verdict("holds", "copy in the registry")


def _record(folder: Path, place: Place) -> Verdict | None:
    """Whether the base record in the registry is the one that the model was trained on."""
    wanted = {md5 for stage in place.lock.stages.values() for out, md5 in stage.outs.items() if out == BASE}
    if not (folder / RECORD).is_file() or not wanted:
        return None
    if hashing.of_file(folder / RECORD) not in wanted:
        return Verdict("wrong", "the base record in the registry is another than the one it was trained on", AGAIN)
    return Verdict("holds", "copy in the registry")


def _place(objects: Objects, tags: Mapping[str, str]) -> Place | None:
    """Where this content was written: by the very run of the tag if any dvc.lock has it, else by another."""
    places = list(lock.find(objects.repository, tags["dvc.md5"], tags.get("dvc.path")))
    same = [place for place in places if receipt_key(objects, place, place.stage) == tags.get("receipt.key")]
    return next(iter(same or places), None)


def _keys(objects: Objects, place: Place, tags: Mapping[str, str]) -> Verdict:
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
