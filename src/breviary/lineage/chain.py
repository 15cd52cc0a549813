"""Every link from an artefact back to the data, the code, the params and the weights, each re-hashed, one by one.

    stage that wrote it ─ outputs, receipt ─> MLflow run, params and code ─> commit
      └─ what it read ─> the stage that wrote that, and so on ─> base record ─> weights

Links come in the order in which a person reads them, and are worked out as they are asked for: who stops at the first
that does not hold pays for no more.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from breviary.lineage import origins, weights
from breviary.lineage.lock import Place, Stage
from breviary.lineage.objects import Objects, Verdict

CODE = ("src/", "stages/")
RECEIPTS = "runs/"
HOLDS = Verdict("holds")

AskRun = Callable[[str, str], Verdict]  # stage, key -> whether MLflow has a finished run of it


@dataclass(frozen=True)
class Link:
    """One step, what it should be, and what was found."""

    depth: int
    kind: str  # "output", "receipt", "run", "params", "code", "source", "input", "weights", ...
    name: str
    digest: str  # as it should be; "" where the link is no content
    verdict: Verdict

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        told = {"state": self.verdict.state, "note": self.verdict.note, "remedy": self.verdict.remedy}
        return {"depth": self.depth, "kind": self.kind, "name": self.name, "digest": self.digest} | told


@dataclass(frozen=True)
class Walk:
    """One walk through a dvc.lock: what it needs, and the stages it has been to."""

    objects: Objects
    place: Place
    run: AskRun | None  # None: do not ask MLflow
    _seen: set[str] = field(default_factory=set)

    def links(self, depth: int = 0) -> Iterator[Link]:
        """The links of the stage that wrote the artefact, then those of every stage before it."""
        origin = self.place.lock.origin
        committed = HOLDS if origin.commit else Verdict("holds", "not committed")
        yield Link(depth, "lock", f"dvc.lock of {origin}", "", committed)
        yield from self._stage(self.place.stage, depth + 1)

    def _stage(self, name: str, depth: int) -> Iterator[Link]:
        self._seen.add(name)
        stage = self.place.lock.stages[name]
        yield Link(depth, "stage", name, "", HOLDS)
        for path in sorted(stage.outs, key=lambda path: path != self.place.path):
            yield from self._output(stage, path, depth + 1)
        for file, values in sorted(stage.params.items()):
            verdict = origins.params(self.objects.repository, self.place.lock, name, file, values)
            yield Link(depth + 1, "params", f"{file}: {', '.join(sorted(values))}", "", verdict)
        yield from self._code(stage, depth + 1)
        for path in sorted(stage.deps):
            yield from self._input(stage, path, depth + 1)

    def _output(self, stage: Stage, path: str, depth: int) -> Iterator[Link]:
        """An output as it is kept; of a receipt also the run, of the record of a model also the weights."""
        lock, md5 = self.place.lock, stage.outs[path]
        verdict = self.objects.check(lock, stage.name, path, md5)
        receipt = path.startswith(RECEIPTS)
        yield Link(depth, "receipt" if receipt else "output", path, md5, verdict)
        if verdict.state != "holds" or not path.endswith(".json"):
            return
        content = self.objects.read(lock, path, md5) or b""
        if receipt and self.run and stage.name == self.place.stage:
            key = _key(content)
            yield Link(depth + 1, "run", f"MLflow run of {stage.name}", key, self.run(stage.name, key))
        elif weights.is_record(content):
            yield Link(depth + 1, "weights", f"weights of {path}", "", weights.check(content))

    def _code(self, stage: Stage, depth: int) -> Iterator[Link]:
        """All code in one link, or each file that is not what ran."""
        files = sorted(path for path in stage.deps if path.startswith(CODE))
        verdicts = {path: self._source(stage, path) for path in files}
        if bad := [path for path in files if verdicts[path].state != "holds"]:
            for path in bad:
                yield Link(depth, "code", path, stage.deps[path], verdicts[path])
        elif files:
            where = ", ".join(sorted({verdict.note for verdict in verdicts.values()}))
            yield Link(depth, "code", f"{len(files)} source files", "", Verdict("holds", where))

    def _input(self, stage: Stage, path: str, depth: int) -> Iterator[Link]:
        """Something that the stage read: where it came from, and once only how that was made."""
        md5, lock = stage.deps[path], self.place.lock
        if path.startswith(CODE):
            return
        writer = lock.writer(path)
        if writer is None:
            yield Link(depth, "source", path, md5, self._source(stage, path))
            return
        yield Link(depth, "input", path, md5, self._passed_on(stage, path, writer))
        if writer not in self._seen:
            yield from self._stage(writer, depth + 1)

    def _passed_on(self, stage: Stage, path: str, writer: str) -> Verdict:
        """Whether `stage` read what `writer` wrote."""
        outs = self.place.lock.stages[writer].outs
        folder = next((out for out in outs if path.startswith(f"{out}/")), None)
        written = outs.get(path) or (self.objects.inside(outs[folder], path[len(folder) + 1 :]) if folder else None)
        if written is None:
            return Verdict("missing", f"{folder} is not in the cache", f"run `dvc fetch {folder}`")
        if written == stage.deps[path]:
            return Verdict("holds", f"from {writer}")
        return Verdict("wrong", f"{writer} wrote {written[:7]} since", f"run `dvc repro {stage.name}`")

    def _source(self, stage: Stage, path: str) -> Verdict:
        """Whether something that no stage writes is in git, or else in the cache."""
        md5 = stage.deps[path]
        verdict = origins.code(self.objects.repository, self.place.lock, stage.name, path, md5)
        if verdict.state == "holds" or not self.objects.place(md5).is_file():
            return verdict
        cached = self.objects.check(self.place.lock, stage.name, path, md5)  # an import of DVC, say
        return cached if cached.state == "holds" else verdict


def _key(receipt: bytes) -> str:
    """The key in a receipt, "" in a file that is none."""
    try:
        return str(json.loads(receipt)["key"])
    except (ValueError, KeyError, TypeError):
        return ""
