"""Whether an artefact is what dvc.lock says: its object in DVC's cache, its copy in the workspace, or its blob in git.

The cache keeps a file at files/md5/<2 digits>/<30 digits>, and a folder as a JSON list of such files at
files/md5/<2>/<30>.dir. Metrics and receipts, which are in git, may be in no cache.
"""

import json
from configparser import ConfigParser
from configparser import Error as ConfigFileError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from breviary.lineage import hashing
from breviary.lineage.history import SHORT, Repository
from breviary.lineage.lock import Lock

State = Literal["holds", "missing", "wrong"]


@dataclass(frozen=True)
class Verdict:
    """What was found where something should be, and what to do about it where it does not hold."""

    state: State
    note: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Objects:
    """The cache of a project, its workspace and its git; hashes nothing twice."""

    repository: Repository
    cache: Path
    here: Lock | None  # the dvc.lock of the workspace
    _known: dict[str, str | None] = field(default_factory=dict, repr=False)  # object -> md5 found, None: not there

    def check(self, lock: Lock, stage: str, path: str, md5: str) -> Verdict:
        """Whether `path`, which `stage` wrote, is `md5` wherever it is kept. A copy that is wrong is always told."""
        broken, absent = self._cached(md5)
        if broken:
            remedy = f"delete {broken[0]}, then run `dvc fetch {path}`, or `dvc repro -f -s {stage}` to make it anew"
            return Verdict("wrong", f"{broken[0]} holds other bytes than its name says", remedy)
        found = [] if absent else ["cache"]
        if self._ours(path, md5) and (self.repository.root / path).exists():
            if hashing.of_path(self.repository.root / path, self.repository.ignored) != md5:
                return Verdict("wrong", "the copy in the workspace is not what dvc.lock says", self._restore(path))
            found.append("workspace")
        if not found and lock.origin.commit and self.repository.digest(lock.origin.commit, path) == md5:
            found.append(f"git {lock.origin.commit[:SHORT]}")
        if found:
            return Verdict("holds", ", ".join(found))
        remedy = f"run `dvc fetch {path}` where a remote holds it, or `dvc repro -f -s {stage}` to make it anew"
        if lock.origin != (self.here and self.here.origin):
            there = f"dvc exp apply {lock.origin.name}" if lock.origin.kind == "experiment" else "dvc fetch -A"
            remedy = f"run `{there}` first; {remedy}"
        return Verdict("missing", f"not in the cache: {absent[0]}", remedy)

    def read(self, lock: Lock, path: str, md5: str) -> bytes | None:
        """The bytes of a file that `check` found to hold."""
        places = [self.place(md5), self.repository.root / path] if self._ours(path, md5) else [self.place(md5)]
        for place in places:
            if place.is_file():
                return place.read_bytes()
        return self.repository.content(lock.origin.commit, path) if lock.origin.commit else None

    def inside(self, md5: str, name: str) -> str | None:
        """The md5 of the file `name` in the folder `md5`, None where the cache does not say."""
        place = self.place(md5)
        return {each["relpath"]: each["md5"] for each in _listing(place)}.get(name) if place.is_file() else None

    def place(self, md5: str) -> Path:
        """Where the cache keeps an object."""
        return self.cache / "files" / "md5" / md5[:2] / md5[2:]

    def _ours(self, path: str, md5: str) -> bool:
        """Whether the workspace should hold this content at `path`."""
        return self.here is not None and any(stage.outs.get(path) == md5 for stage in self.here.stages.values())

    def _cached(self, md5: str) -> tuple[list[Path], list[Path]]:
        """The objects of `md5`, a folder's files included, that are wrong, and those that are not there."""
        wanted = [md5]
        if md5.endswith(hashing.FOLDER) and self._found(md5) == md5.removesuffix(hashing.FOLDER):
            wanted += [each["md5"] for each in _listing(self.place(md5))]
        found = {each: self._found(each) for each in wanted}
        broken = [self.place(each) for each in found if found[each] not in (None, each.removesuffix(hashing.FOLDER))]
        return broken, [self.place(each) for each in found if found[each] is None]

    def _found(self, md5: str) -> str | None:
        if md5 not in self._known:
            place = self.place(md5)
            self._known[md5] = hashing.of_file(place) if place.is_file() else None
        return self._known[md5]

    def _restore(self, path: str) -> str:
        tracked = self.repository.lines("ls-files", "--", path)
        return f"run `git checkout -- {path}`" if tracked else f"run `dvc checkout --force {path}`"


def cache_of(root: Path) -> Path:
    """The folder of DVC's cache: cache.dir of .dvc/config.local or .dvc/config, else .dvc/cache."""
    for name in ("config.local", "config"):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(root / ".dvc" / name, encoding="utf-8")
        except ConfigFileError:
            continue  # DVC itself says what is wrong with it
        if parser.has_option("cache", "dir"):
            return (root / ".dvc" / parser.get("cache", "dir").strip("\"'")).resolve()
    return root / ".dvc" / "cache"


def _listing(place: Path) -> list[dict[str, str]]:
    return json.loads(place.read_bytes())
