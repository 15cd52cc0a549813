"""What work costs: CPU seconds (of this process and the children it waits for), seconds on the clock, peak memory.

Arms are measured turn and turn about, so that a slow moment of the machine hits all of them; a ratio is the median of
the ratios within rounds. A peak is one process's, so that what has one runs in a process of its own (`alone`).
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

Size = tuple[str, dict[str, Any]]  # of what is measured: its name, and its figures


@dataclass(frozen=True)
class Spent:
    """Seconds."""

    cpu: float
    wall: float


def once(work: Callable[[], object]) -> Spent:
    """What one run of `work` takes."""
    cpu, wall = _cpu(), time.perf_counter()
    work()
    return Spent(_cpu() - cpu, time.perf_counter() - wall)


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def rounds(arms: Mapping[str, Callable[[], object]], count: int, *, warm: bool = True) -> dict[str, list[Spent]]:
    """What each arm takes in `count` rounds, after one that is not counted (`warm`)."""
    taken: dict[str, list[Spent]] = {name: [] for name in arms}
    for number in range(count + warm):
        for name, work in arms.items():
            spent = once(work)
            if number >= warm:
                taken[name].append(spent)
    return taken


def seconds(taken: Sequence[Spent]) -> dict[str, float]:
    """Medians."""
    return {
        "cpu_seconds": short(statistics.median(each.cpu for each in taken)),
        "wall_seconds": short(statistics.median(each.wall for each in taken)),
    }


def ratio(over: Sequence[Spent], under: Sequence[Spent]) -> float:
    """Median over rounds of the CPU seconds of one arm over those of another."""
    return short(statistics.median(mine.cpu / theirs.cpu for mine, theirs in zip(over, under, strict=True)))


def short(value: float) -> float:
    """Three digits: what a shared machine repeats."""
    return float(f"{value:.3g}")


def alone(module: str, *arguments: object) -> dict[str, Any]:
    """The JSON that `python -m module arguments` prints last, in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def peak() -> int:
    """Peak memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def machine(threads: int, packages: Sequence[str]) -> dict[str, Any]:
    """What the figures are of."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "processors": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }
