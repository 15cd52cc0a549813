"""Which execution of the pipeline a stage's run is part of: an experiment on its baseline, or else a commit."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from breviary.tracking import fingerprint
from breviary.tracking.spool import git

PIPELINE = "breviary.pipeline"  # the tag of all runs of one execution
CODE = ("src", "stages", "dvc.yaml", "params.yaml", "pyproject.toml")  # what "dirty" is about
SHORT = 7  # digits of a commit that are shown


@dataclass(frozen=True)
class Execution:
    """One `dvc repro` or `dvc exp run`, as far as runs can tell one from another."""

    experiment: str  # "" for a plain `dvc repro`
    baseline: str  # the commit that was checked out

    @property
    def tag(self) -> str:
        """What tells it from others; "" outside git, where there is nothing to group by."""
        name = f"{self.experiment}@{self.baseline}" if self.experiment else self.baseline
        return name.replace("'", "_")  # MLflow's queries know no escape for it

    @property
    def name(self) -> str:
        """What a person reads."""
        return self.experiment or f"pipeline {self.baseline[:SHORT]}"

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Execution":
        """The execution that a run with these tags is part of."""
        return cls(tags.get("dvc.exp", ""), tags.get("dvc.baseline", "") or tags.get("git.commit", ""))


def origin() -> dict[str, str]:
    """The tags that say which experiment and which commit a run belongs to."""
    commit = git("rev-parse", "HEAD")
    tags = {
        "dvc.exp": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline": os.environ.get("DVC_EXP_BASELINE_REV", commit),
        "git.commit": commit,
        "git.dirty": str(bool(git("status", "--porcelain", "--", *CODE))).lower(),
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": str(fingerprint.script() or "breviary"),
    }
    return tags | {PIPELINE: Execution.of(tags).tag}
