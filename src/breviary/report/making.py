"""Which stage made what from what: dvc.lock, in the order in which the stages follow from one another.

Read when the page is made and not kept in report.json: dvc.lock holds the hash of report.json, which therefore cannot
hold what dvc.lock says. The two are in the same commit, so that they belong together wherever the page is made again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from breviary.lineage.lock import LOCK, Origin, Stage, parse

CODE = ("src/", "stages/")


@dataclass(frozen=True)
class Made:
    """What one stage read (its code apart, which is counted) and wrote: paths and md5, as DVC knows them."""

    stage: str
    reads: Mapping[str, str]
    writes: Mapping[str, str]
    code: int  # files and folders of code that it depends on


def making(lock: Path = Path(LOCK)) -> list[Made]:
    """Every stage of dvc.lock, each after those whose outputs it reads; none where there is no such file."""
    if not lock.is_file():
        return []
    found = parse(lock.read_text(encoding="utf-8"), Origin("workspace", "", ""))
    return [_made(stage) for stage in ordered(list(found.stages.values()))]


def ordered(stages: Sequence[Stage]) -> Iterator[Stage]:
    """The stages in the order of the work; of those that may come next, the one that stands first in the file."""
    maker = {path: stage.name for stage in stages for path in stage.outs}
    rest = list(stages)
    while rest:
        left = {stage.name for stage in rest}
        ready = next((each for each in rest if not _waits(each, maker, left)), rest[0])
        rest.remove(ready)
        yield ready


def _waits(stage: Stage, maker: Mapping[str, str], left: set[str]) -> bool:
    return any(maker.get(path, stage.name) in left - {stage.name} for path in stage.deps)


def _made(stage: Stage) -> Made:
    read = {path: stage.deps[path] for path in sorted(stage.deps) if not path.startswith(CODE)}
    return Made(stage.name, read, dict(sorted(stage.outs.items())), len(stage.deps) - len(read))
