"""Break the pipeline on purpose, many times, and see whether the next `dvc repro` brings everything back.

    python -m bench.faults --count 50 --seed 1

In a clone with the profile `tiny` (`clone.py`) the whole pipeline runs once, undisturbed. Then, for every fault of the
seeded plan (`breaking.py`), one stage runs again and is struck, the next `dvc repro` runs, and the project is compared
with what it was (`damage.py`). A fault that came too late, when dvc had ended already, strikes again earlier, and is
counted as late. The plan depends on the seed alone; what a moment hits depends on the machine.

Writes counts, and no times, to metrics/faults.json, and prints them as Markdown. With --target the stages after it are
left out, which is cheaper by far. `--first N` goes on where a run was cut short: the counts of the first N stay.
"""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from bench import breaking, damage
from bench.breaking import Fault
from bench.clone import Clone, made
from breviary import artifacts

WRITTEN = Path("metrics/faults.json")
TRIES = 4  # of one fault, each in half the time of the one before
MEND = (sys.executable, "-c", "from breviary.cli.mend import mend; mend()", "--older", "0")
SYNC = (sys.executable, "-m", "breviary", "sync")


@dataclass(frozen=True)
class Outcome:
    """What one fault did."""

    fault: Fault
    late: int  # strikes that came after the end
    hit: bool
    stopped: bool  # `dvc repro` did not end well; a stage may also end in spite of the fault
    mended: bool  # the next `dvc repro` needed `breviary mend` first
    strays: tuple[str, ...]  # files that `breviary mend` and `breviary sync` had to remove, as they do in `make repro`
    wrong: tuple[str, ...]  # what was not as before, after all that
    said: str = field(repr=False, default="")


@click.command(help=__doc__)
@click.option("--count", default=50, show_default=True, help="Faults.")
@click.option("--seed", default=1, show_default=True)
@click.option("--only", type=int, help="This one of them alone.")
@click.option("--first", default=0, help="Leave out so many of them, which are counted in the file.")
@click.option("--target", default="", help="Run no further than this stage.")
def main(count: int, seed: int, only: int | None, first: int, target: str) -> None:
    before = _before(count, seed, first)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, made(Path(folder)) as clone:
        finish(clone, target)
        kinds = [kind for kind in breaking.KINDS if clone.disk or kind not in breaking.MOUNTING]
        plan = breaking.planned(count, seed, sorted(clone.stages()), kinds)
        found, report = [], counted([], seed, clone.disk)
        for outcome in survived(clone, plan[first:] if only is None else [plan[only]], target):
            found.append(_shown(outcome))
            report = added(before, counted(found, seed, clone.disk)) | {"planned": len(plan), "target": target}
            if only is None:
                artifacts.write_json(WRITTEN, report)  # after each: hours may be cut short
    print(markdown(report))
    sys.exit(1 if report["survived"] < report["injected"] else 0)


def _before(count: int, seed: int, first: int) -> dict[str, Any]:
    """The counts of the `first` faults. Raises UsageError where the file has not just those."""
    if not first:
        return {}
    known = artifacts.read_json(WRITTEN) if WRITTEN.is_file() else {}
    if (known.get("planned"), known.get("seed"), known.get("injected")) != (count, seed, first):
        raise click.UsageError(f"{WRITTEN} does not count the first {first} of {count} faults of seed {seed}")
    return known


def added(before: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """The counts of two runs of one plan together."""
    total = before | report
    for name, value in report.items():
        if isinstance(value, dict):
            total[name] = added(before.get(name, {}), value)
        elif isinstance(value, int) and name != "seed":
            total[name] = before.get(name, 0) + value
    return total


def finish(clone: Clone, target: str = "") -> None:
    """Run the pipeline to its end, or to `target`, undisturbed, and commit what git keeps of it."""
    clone.must("dvc", "repro", *filter(None, [target]))
    clone.must("git", "add", "-A")
    clone.must("git", "commit", "-qm", "finished")


def survived(clone: Clone, plan: Sequence[Fault], target: str = "") -> Any:
    """Yields the Outcome of each fault. After one that was not survived, the clone is the finished one again."""
    if damage.running(clone):
        raise RuntimeError("a run is RUNNING before any fault")
    before, spare = damage.state(clone), clone.folder.with_name("spare")
    shutil.copytree(clone.folder, spare, symlinks=True)
    for fault in plan:
        outcome = once(clone, fault, before, target)
        if outcome.wrong:
            clone.stop()
            shutil.rmtree(clone.folder)
            shutil.copytree(spare, clone.folder, symlinks=True)
        yield outcome


def once(clone: Clone, fault: Fault, before: damage.State, target: str = "") -> Outcome:
    """Strike, run `dvc repro` again, compare."""
    late, hit, status, said = 0, False, 0, ""
    for attempt in range(TRIES):
        outs = damage.forget(clone, fault.stage)
        sooner = replace(fault, delay=fault.delay / 2**attempt)
        hit, status, said = breaking.struck(clone, sooner, outs)
        if hit or status:
            break
        late += 1
    repro = ("dvc", "repro", *filter(None, [target]))
    again, retold = clone.run(*repro)
    mended = bool(again)
    if again:
        clone.run(*MEND)
        again, more = clone.run(*repro)
        retold += more
    damage.running(clone)  # waits for the uploaders
    strays = damage.strays(clone, before)
    if strays:
        clone.run(*MEND)
        clone.run(*SYNC)
    left = left_behind(fault.stage, damage.strays(clone, before), retold)
    wrong = [*([f"dvc repro: status {again}"] if again else []), *damage.differences(clone, before), *left]
    return Outcome(fault, late, hit, bool(status), mended, tuple(strays), tuple(wrong), f"{said}\n{retold}")


def left_behind(stage: str, names: Sequence[str], said: str) -> list[str]:
    """What is wrong with `names`, the files that are too many in the end.

    A stage that was struck when all was written, with the bytes of before, has nothing to do for the next `dvc repro`.
    Its checkpoints then wait for a run of the same key, as those of any killed stage do, and nothing is wrong with it.
    """
    is_done = f"Stage '{stage}' didn't change, skipping" in said
    return [f"{name} stays behind" for name in names if not (is_done and name.startswith(f".checkpoints/{stage}/"))]


def counted(outcomes: Sequence[Outcome], seed: int, disk: Path | None) -> dict[str, Any]:
    """Counts over all, by kind, by moment and by stage; how a full disk was had."""
    hit = [each for each in outcomes if each.hit]
    by = {
        name: {key: _counts([each for each in hit if getattr(each.fault, name) == key]) for key in sorted(keys)}
        for name, keys in ((n, {getattr(each.fault, n) for each in hit}) for n in ("kind", "moment", "stage"))
    }
    strays = Counter(Path(name).suffix or "other" for each in hit for name in each.strays)
    late = sum(each.late for each in outcomes)
    how = {"disk": "tmpfs" if disk else "RLIMIT_FSIZE", "seed": seed}
    return _counts(hit) | how | {"by": by, "late": late, "strays": dict(sorted(strays.items()))}


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return {
        "injected": len(outcomes),
        "stopped": sum(each.stopped for each in outcomes),
        "survived": sum(not each.wrong for each in outcomes),
        "mended": sum(each.mended for each in outcomes),
    }


def markdown(report: dict[str, Any]) -> str:
    """The counts as tables."""
    lines = [f"Seed {report['seed']}; full disk: {report['disk']}; strikes that came too late: {report['late']}."]
    for name, rows in report["by"].items():
        lines += [
            "",
            f"| {name} | injected | stopped the stage | survived | after `breviary mend` |",
            "|---|--:|--:|--:|--:|",
        ]
        for key, row in [*rows.items(), ("all", report)]:
            lines += [f"| {key} | {row['injected']} | {row['stopped']} | {row['survived']} | {row['mended']} |"]
    return "\n".join(lines)


def _shown(outcome: Outcome) -> Outcome:
    """Say on standard error how it went, with the output of dvc where it went wrong."""
    fault = outcome.fault
    how = "; ".join(outcome.wrong) or ("mended" if outcome.mended else "survived" if outcome.hit else "came too late")
    print(f"{fault.number} {fault.stage} {fault.kind} {fault.moment} +{fault.delay:.2f} s: {how}", file=sys.stderr)
    print("".join(f"    removed: {name}\n" for name in outcome.strays), end="", file=sys.stderr)
    if outcome.wrong or outcome.mended or os.environ.get("FAULTS_VERBOSE"):
        print(outcome.said, file=sys.stderr)
    return outcome


if __name__ == "__main__":
    main()
