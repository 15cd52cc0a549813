"""What a person names, a path here or anywhere, as the output of a stage in some dvc.lock."""

import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from breviary.errors import ArtifactError
from breviary.lineage import hashing, lock
from breviary.lineage.chain import AskRun, Link, Walk
from breviary.lineage.history import Repository
from breviary.lineage.lock import Place
from breviary.lineage.objects import Objects, Verdict, cache_of


def project(root: Path) -> Objects:
    """The project at `root`, to be looked into."""
    repository = Repository(root)
    return Objects(repository, cache_of(root), lock.workspace(repository))


def links(objects: Objects, path: Path, run: AskRun | None) -> Iterator[Link]:
    """Every link from the file or folder at `path` back. Raises ArtifactError where nothing is known of it."""
    name = Path(os.path.relpath(path.resolve(), objects.repository.root.resolve())).as_posix()
    if not path.exists():
        place = _written_here(objects, name)
        yield Link(0, "artefact", name, place.lock.stages[place.stage].outs[name], Verdict("holds", "not checked out"))
        yield from Walk(objects, place, run).links(1)
        return
    md5 = hashing.of_path(path, objects.repository.ignored)
    found = located(objects, md5, name)
    if found is None:
        yield Link(0, "artefact", name, md5, _unknown(objects, name))
        return
    yield Link(0, "artefact", name, md5, Verdict("holds", f"written by {found.stage}"))
    yield from Walk(objects, found, run).links(1)


def located(objects: Objects, md5: str, path: str | None = None) -> Place | None:
    """Who wrote this content: as `path` if a stage ever did, else anywhere."""
    named = next(lock.find(objects.repository, md5, path), None) if path else None
    return named or next(lock.find(objects.repository, md5), None)


def _written_here(objects: Objects, path: str) -> Place:
    """The place of an output that dvc.lock names but the workspace does not hold."""
    here = objects.here
    for stage in here.stages.values() if here else ():
        if here and path in stage.outs:
            return Place(here, stage.name, path)
    known = sorted(out for stage in here.stages.values() for out in stage.outs) if here else []
    near = get_close_matches(path, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "name an output of a stage, or models:/NAME@ALIAS"
    raise ArtifactError(f"{path}: not there, and no stage in dvc.lock writes it; {hint}")


def _unknown(objects: Objects, path: str) -> Verdict:
    """What to say of content that no dvc.lock holds: a known path was changed, another is not of this project."""
    try:
        place = _written_here(objects, path)
    except ArtifactError:
        remedy = "run `dvc repro` to make one whose origin is on record"
        return Verdict("wrong", "no dvc.lock, of the workspace, an experiment or a commit, holds this content", remedy)
    recorded = place.lock.stages[place.stage].outs[path]
    return Verdict("wrong", f"dvc.lock says {recorded[:7]}", f"run `dvc checkout --force {path}`")
