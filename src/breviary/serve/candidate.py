"""From a trained model to a registered version: the gate is asked first, then the version is made, then aliases move.

Each step is found done when it is repeated, so that a registry that went away in the middle costs nothing but a second
run of the stage. A model that is champion already is judged against the champion before it, and the same model looked
at twice gives the same decision.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from breviary import artifacts, config
from breviary.evaluate import dossier
from breviary.evaluate.dossier import Dossier
from breviary.evaluate.gate import Decision
from breviary.model import resolve
from breviary.records import content_hash
from breviary.registry import history, package, versions
from breviary.registry.versions import CANDIDATE, CHAMPION, Version
from breviary.tracking import fingerprint
from breviary.tracking.spool import git
from breviary.tracking.store import Connection

MODEL = "breviary.serve.pyfunc"  # found and not imported: MLflow runs it
DIGITS = 6
Decide = Callable[[Dossier | None], Decision]


@dataclass(frozen=True)
class Candidate:
    """A trained model that asks to be registered under `name`."""

    name: str
    adapter: Path
    base: Path  # record of the backbone
    params: config.Params  # the sections that it is served with
    measured: Dossier
    stage: str  # which trained it
    receipts: Path  # the folder of the stages' receipts

    @property
    def settings(self) -> dict[str, Any]:
        """The sections as they are kept: a service takes one text at a time, and knows no split."""
        sections = self.params.plain()
        return sections | {"predict": sections["predict"] | {"batch_size": 1, "limit": None}}

    @property
    def content(self) -> dict[str, str]:
        """What it is, as `Version.content`."""
        asked = {name: section for name, section in self.settings.items() if name != "runtime"}
        serving = content_hash(json.dumps(asked, sort_keys=True))
        return {"dvc.md5": fingerprint.inputs([self.adapter])[0].md5, "serving": serving}


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate."""

    version: Version
    decision: Decision
    rival: Version | None  # the champion that it was judged beside
    moved: bool  # whether the champion is another one now

    def as_json(self) -> dict[str, Any]:
        """By content alone: the same in every registry in which the same happened."""
        champion = self.rival.content if self.rival else None
        return {"champion": champion, "content": self.version.content} | self.decision.as_json()

    def lines(self) -> list[str]:
        """What the terminal shows."""
        verdict = "promoted" if self.decision.promoted else "refused"
        said = "" if self.moved else (", the champion stays as it is" if self.rival or self.decision.promoted else "")
        return [f"{self.version}: {verdict}{said}", *(f"  {reason}" for reason in self.decision.reasons)]


def submit(connection: Connection, candidate: Candidate, decide: Decide) -> Outcome:
    """Judge, register once, point `candidate` at the version, and `champion` where the gate says so."""
    content = candidate.content
    version = versions.find(connection, candidate.name, content)
    champion = versions.aliased(connection, candidate.name, CHAMPION)
    reigns = champion is not None and version is not None and champion.number == version.number
    rival = history.before(connection, champion) if champion and reigns else champion
    decision = decide(_dossier(connection, rival) if rival else None)
    if version and not reigns and (why := history.withdrawn(connection, version)):
        note = f"it was rolled back by hand ({why}): `breviary promote {version.name} {version.number}` takes that back"
        decision = Decision(False, decision.against, decision.checks, [*decision.notes, note])
    version = version or _register(connection, candidate, content)
    told = json.dumps(decision.as_json(), sort_keys=True, ensure_ascii=False)
    verdict = "promoted" if decision.promoted else "refused"
    tags = {"gate": verdict, "gate.decision": told, "gate.reasons": "\n".join(decision.reasons)}
    versions.mark(connection, version, tags)
    versions.point(connection, CANDIDATE, version)
    moved = decision.promoted and history.promote(connection, version, decision.reasons[0], "gate")
    return Outcome(version, decision, rival, moved)


def _dossier(connection: Connection, rival: Version) -> Dossier:
    with TemporaryDirectory() as downloads:
        return dossier.read(versions.folder(connection, rival, Path(downloads)) / "artifacts", CHAMPION)


def _register(connection: Connection, candidate: Candidate, content: Mapping[str, str]) -> Version:
    with TemporaryDirectory() as folder:
        contents, packed = Path(folder, "contents"), Path(folder, "packed")
        shutil.copytree(candidate.adapter, contents / package.ADAPTER)
        shutil.copyfile(candidate.base, contents / package.BASE)
        artifacts.write_json(contents / package.PARAMS, candidate.settings)
        dossier.write(candidate.measured, contents)
        code = find_spec(MODEL)
        assert code is not None
        assert code.origin is not None
        package.write(packed, contents, Path(code.origin), fingerprint.PACKAGE, _backbone(candidate.base))
        run = versions.trained(connection, candidate.receipts / f"{candidate.stage}.json", candidate.name)
        return versions.register(connection, candidate.name, packed, _tags(candidate) | dict(content), run)


def _backbone(base: Path) -> dict[str, str]:
    """The backbone's name and revision, whatever kind it is of."""
    options = artifacts.read_json(base)["options"]
    name = options.get("name") or options.get("requirement") or options["kind"]
    return {
        "base_model": str(name),
        "base_revision": str(options.get("revision") or options.get("sha256") or resolve.identity(base)),
        "base_weights": resolve.identity(base),
    }


def _tags(candidate: Candidate) -> dict[str, str]:
    receipts = {path.stem: artifacts.read_json(path)["key"] for path in sorted(candidate.receipts.glob("*.json"))}
    receipts.pop("register", None)  # of an earlier time
    tags = {
        "dvc.path": candidate.adapter.as_posix(),
        "dvc.stage": candidate.stage,
        "dvc.exp": os.environ.get("DVC_EXP_NAME", ""),
        "git.commit": git("rev-parse", "HEAD"),
        "receipt.key": receipts.get(candidate.stage, ""),
        "stages": json.dumps(receipts, sort_keys=True),
    }
    means = candidate.measured.means()
    tags |= {f"metric.{domain}.{metric}": str(round(value, DIGITS)) for (domain, metric), value in means.items()}
    return {name: value for name, value in tags.items() if value}
