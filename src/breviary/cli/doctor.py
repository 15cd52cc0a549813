"""`breviary doctor`: what this machine has, and whether the chosen backbone fits it, before hours are spent.

A line that begins with `!` is something that will stop the pipeline; with one such line or more the
exit status is 1.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from breviary import config
from breviary.cli import overlays
from breviary.errors import ConfigError

PACKAGES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets", "mlflow", "dvc")
BASE = Path("models/base.json")
PHASES = ("train_phase1", "train_phase2", "train_phase3")
GB = 10**9
PATIENCE = 5  # seconds for the package index

Line = tuple[bool, str, str]  # good, name, what was found


@click.command()
@click.option("--profile", metavar="NAME", help="Ask about this profile instead of params.yaml as it stands.")
def doctor(profile: str | None) -> None:
    """What this machine has, and whether the chosen backbone will fit."""
    bad = 0
    for good, name, found in lines(profile):
        bad += not good
        click.echo(f"{' ' if good else '!'} {name:<14} {found}")
    sys.exit(1 if bad else 0)


def lines(profile: str | None) -> Iterator[Line]:
    """Everything there is to say, cheapest first."""
    yield True, "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in PACKAGES:
        yield _installed(package)
    yield True, "cores", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    yield _gpu()
    yield _bf16()
    yield from _space()
    yield _index()
    yield from _fits(profile)


def _installed(package: str) -> Line:
    try:
        return True, package, version(package)
    except PackageNotFoundError:
        return False, package, "not installed: `make repro` installs everything"


def _gpu() -> Line:
    from breviary.model import resources

    found = resources.available()
    kind = "none, the CPU computes" if found.place == "RAM" else found.place
    return True, "accelerator", f"{kind}; {found.free / GB:.1f} GB of memory free of {found.size / GB:.1f}"


def _bf16() -> Line:
    from breviary.model import resources

    fast = resources.has_bf16()
    return True, "bf16", "yes: compute.precision: bf16 is fast here" if fast else "no: use compute.precision: fp32"


def _space() -> Iterator[Line]:
    from breviary.model import resolve

    cache = resolve.cache()
    held = sum(path.lstat().st_size for path in cache.rglob("*") if path.is_file() and not path.is_symlink())
    yield True, "model cache", f"{cache}: {held / GB:.2f} GB"
    for name, folder in (("disk, cache", cache), ("disk, project", Path.cwd())):
        there = next(path for path in [folder, *folder.parents] if path.exists())
        yield True, name, f"{shutil.disk_usage(there).free / GB:.1f} GB free"


def _index() -> Line:
    """Through pip itself, whose settings (mirror, proxy, certificates) are what counts."""
    command = [sys.executable, "-m", "pip", "--timeout", str(PATIENCE), "--retries", "0", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*command, "index", "versions", "pip"], capture_output=True, text=True, timeout=6 * PATIENCE
        )
    except subprocess.TimeoutExpired:
        return False, "package index", f"no answer in {6 * PATIENCE} s; check `pip config list` and the network"
    if done.returncode == 0:
        return True, "package index", "reachable"
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no answer"]
    return False, "package index", f"{said[0]}; check `pip config list` and the network"


def _fits(profile: str | None) -> Iterator[Line]:
    try:
        params = overlays.check(overlays.applied(profile), profile) if profile else config.read(overlays.PARAMS)
    except ConfigError as error:
        yield False, "params.yaml", str(error)
        return
    yield True, "params.yaml", "valid" + (f" with profile '{profile}'" if profile else "")
    yield _methods(params)
    yield _repeatable(params)
    yield from _estimates(params, profile)


def _methods(params: config.Params) -> Line:
    """Whether the terms and constraints of all phases are spelt right and go together."""
    from breviary.learn import phase
    from breviary.model import preview

    try:
        phase.refuse_methods(params, preview.config(_options(params, "backbone"), BASE))
    except ConfigError as error:
        return False, "methods", str(error)
    return True, "methods", "the terms and constraints of all phases go together"


def _repeatable(params: config.Params) -> Line:
    """How far the phases can be repeated on this machine, by one process: the least that any of them has."""
    from breviary.model import determinism

    runtime, compute = params.section("runtime", config.Runtime), _options(params, "compute")
    kinds = sorted({_options(params, phase).optimizer.kind for phase in PHASES} - {"adamw"})
    found = determinism.of(runtime, quantisation=compute.quantisation, optimizer=(*kinds, "adamw")[0])
    return True, "determinism", f"{found.name}: {found.reason}"


def _estimates(params: config.Params, profile: str | None) -> Iterator[Line]:
    from breviary.model import memory, preview, resources

    options = _options(params, "backbone")
    described = preview.config(options, BASE)
    if described is None:
        fetch = (f"breviary profile apply {profile} && " if profile else "") + "dvc repro base_model"
        yield True, "backbone", f"{_called(options)}: not fetched yet; `{fetch}` does it, then ask again"
        return
    yield True, "backbone", _called(options)
    compute, prompt, found = _options(params, "compute"), _options(params, "prompt"), resources.available()
    needed = {
        phase: memory.for_phase(described, compute, _options(params, "adapter"), prompt, _options(params, phase))
        for phase in PHASES
    }
    needed["predict"] = memory.for_prediction(described, compute, prompt, _options(params, "predict"))
    budget = _options(params, "budget")
    needed["summarise"] = memory.for_requests(described, compute, prompt, budget, list(budget.profiles))
    for name, estimate in needed.items():
        good = estimate.total <= found.free
        verdict = "fits" if good else f"does NOT fit {found.place} with {found.free / GB:.1f} GB free"
        yield good, name, f"about {estimate.total / GB:.1f} GB: {verdict}"


def _options(params: config.Params, section: str) -> Any:
    return params.section(section, config.Options)


def _called(options: Any) -> str:
    named = [str(value) for key, value in options.model_dump().items() if key in ("requirement", "name")]
    return " ".join([options.kind, *named])
