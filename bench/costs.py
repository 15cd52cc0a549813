"""What each stage costs, over three sizes: CPU seconds, seconds on the clock, memory.

    python -m bench.costs [SUBJECT ...] [--rounds 3] [--threads 1]

Subjects: subspace, fisher, mining, predict, evaluate, start, idle. Those that are not named keep their figures in
metrics/costs.json, where each size stands as soon as it is measured. Where a figure is a ratio, its arms took turns
(bench/spent.py).
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from bench import spent
from breviary import artifacts, config

OUT = Path("metrics/costs.json")
MINED = (10_000, 30_000, 100_000)  # documents a side
EXHAUSTIVE = (1250, 2500, 5000)
VERSIONS = ("torch", "transformers", "peft", "scipy", "faiss-cpu", "dvc")
SUBJECTS = {  # named, not imported: some take torch and the model libraries, some must not wait for these
    "subspace": "bench.costs_model:subspaces",
    "fisher": "bench.costs_model:fishers",
    "mining": "bench.costs:mining",
    "predict": "bench.costs_model:predicting",
    "evaluate": "bench.costs_light:evaluating",
    "start": "bench.costs_light:starting",
    "idle": "bench.costs_light:idling",
}
ONCE = {"mining"}  # in processes of their own, with as many threads as runtime.threads says


def mining(params: config.Params, rounds: int) -> Iterator[spent.Size]:
    """Mining at each size, each in a process of its own; once, whatever `rounds`."""
    threads = params.section("runtime", config.Runtime).threads
    for documents, index in [(size, "exhaustive") for size in EXHAUSTIVE] + [
        (size, index) for size in MINED for index in ("torch", "faiss")
    ]:
        yield f"{documents}_{index}", spent.alone("bench.costs_mining", documents, index, "--threads", threads)


@click.command(help=__doc__)
@click.argument("subjects", nargs=-1)
@click.option("--rounds", default=3, show_default=True)
@click.option(
    "--threads", default=1, show_default=True, help="Of all subjects but mining, which takes runtime.threads."
)
def main(subjects: tuple[str, ...], rounds: int, threads: int) -> None:
    if unknown := [name for name in subjects if name not in SUBJECTS]:
        raise click.UsageError(f"no subject is called {unknown[0]}; there are {', '.join(SUBJECTS)}")
    import torch

    torch.set_num_threads(threads)
    params = config.read(Path("params.yaml"))
    report = artifacts.read_json(OUT) if OUT.is_file() else {}
    for name in subjects or SUBJECTS:
        taken = (params.section("runtime", config.Runtime).threads, 1) if name in ONCE else (threads, rounds)
        report[name] = {"machine": spent.machine(taken[0], VERSIONS), "rounds": taken[1], "sizes": {}}
        module, function = SUBJECTS[name].split(":")
        for size, figures in getattr(import_module(module), function)(params, rounds):
            report[name]["sizes"][size] = figures
            artifacts.write_json(OUT, report)
    click.echo("\n\n".join(f"## {name}\n\n{table(report[name]['sizes'])}" for name in subjects or SUBJECTS))


def table(sizes: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for each size, a column for each figure, in Markdown."""
    lines = {size: _flat(figures) for size, figures in sizes.items()}
    columns = list(dict.fromkeys(name for line in lines.values() for name in line))
    rows = [
        f"| {size} | " + " | ".join(str(line.get(name, "")) for name in columns) + " |" for size, line in lines.items()
    ]
    return "\n".join([f"| size | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|", *rows])


def _flat(figures: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in figures.items():
        path = f"{before} {name.replace('_', ' ')}".strip()
        found |= _flat(value, path) if isinstance(value, Mapping) else {path: value}
    return found


if __name__ == "__main__":
    main()
