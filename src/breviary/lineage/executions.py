"""Which MLflow run stands behind each stage of the workspace, of each experiment and of each commit with results.

The receipts say so (`runs/<stage>.json`), which git and DVC keep beside the results: a stage that was restored from the
cache has the receipt of the run that once made it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from breviary.lineage import lock
from breviary.lineage.history import SHORT, Experiment, Repository
from breviary.lineage.lock import Origin
from breviary.lineage.objects import Objects
from breviary.lineage.recorded import Recorded
from breviary.tracking import uploader
from breviary.tracking.execution import Execution

RECENT = {"experiments": 10, "commits": 3}  # how many of each, unless all are asked for
EVALUATION = "data/evaluation.json"


@dataclass(frozen=True)
class Results:
    """The receipts of one set of results."""

    label: str
    execution: Execution
    keys: Mapping[str, str]  # stage -> key in its receipt
    before: Mapping[str, str] = field(default_factory=dict)  # the same of the commit before

    def ran(self, recorded: Recorded) -> bool:
        """Whether the stage was run for these results, rather than restored or left as it was.

        Results are committed after they were made, so that a run names an earlier commit than that of its results.
        """
        if recorded.pipeline == self.execution.tag:
            return True
        plain = not self.execution.experiment and not recorded.experiment
        return plain and self.keys[recorded.stage] != self.before.get(recorded.stage)


def results(repository: Repository, everything: bool = False) -> Iterator[Results]:
    """The workspace, then experiments, then commits, newest first; the last few, or all."""
    commits = repository.commits("runs", limit=10_000)
    commits = commits if everything else commits[: RECENT["commits"]]
    here, _ = uploader.results(repository.root)
    is_committed = bool(commits) and here == _committed(repository, commits[0])
    if here and not is_committed:
        head = repository.head()
        yield Results("workspace", Execution("", head), here, _committed(repository, head))
    for _, found in of_experiments(repository, None if everything else RECENT["experiments"]):
        yield found
    for commit in commits:
        label = f"commit {commit[:SHORT]} {repository.subject(commit)}"
        if is_committed and commit == commits[0]:
            label += " (and the workspace)"
        before = _committed(repository, f"{commit}^")
        yield Results(label, Execution("", commit), _committed(repository, commit), before)


def of_experiments(repository: Repository, limit: int | None = None) -> Iterator[tuple[Experiment, Results]]:
    """The experiments, newest first."""
    for each in repository.experiments()[:limit]:
        label = f"experiment {each.name} ({each.commit[:SHORT]} on {each.baseline[:SHORT]})"
        yield each, Results(label, Execution(each.name, each.baseline), _committed(repository, each.commit))


def evaluation(objects: Objects, commit: str) -> dict[str, Any]:
    """data/evaluation.json as a commit or experiment has it, {} where it is not to be had."""
    found = lock.of_commit(objects.repository, commit, Origin("commit", "", commit))
    md5 = next((s.outs[EVALUATION] for s in found.stages.values() if EVALUATION in s.outs), None) if found else None
    content = objects.read(found, EVALUATION, md5) if found and md5 else None
    return json.loads(content) if content else {}


def rows(found: Results, latest: Callable[[str], Recorded | None]) -> list[dict[str, Any]]:
    """One row a stage: its run, whether it ran here or was cached, its status, time and peak memory."""
    told = []
    for stage, key in sorted(found.keys.items()):
        recorded = latest(key)
        row: dict[str, Any] = {"stage": stage, "key": key, "run": None, "how": "unknown", "status": None}
        if recorded:
            how = "ran" if found.ran(recorded) else "cached"
            row |= {"run": recorded.id, "how": how, "status": recorded.status}
            row |= {"wall_seconds": recorded.wall_seconds, "peak_mib": recorded.peak_mib}
        told.append({"wall_seconds": None, "peak_mib": None} | row)
    return told


def _committed(repository: Repository, commit: str) -> dict[str, str]:
    """The keys of the receipts in a commit."""
    found = {}
    for path in repository.files(commit, "runs"):
        try:
            receipt = json.loads(repository.content(commit, path) or b"")
            found[str(receipt["stage"])] = str(receipt["key"])
        except (ValueError, KeyError, TypeError):
            continue  # no receipt: a file of some other use
    return found
