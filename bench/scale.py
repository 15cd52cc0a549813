"""What the pipeline costs, from this machine to 7B on eight GPUs: the tables of docs/SCALE.md, from formulae.

    python -m bench.scale                  # print the tables
    python -m bench.scale --write          # put them into docs/SCALE.md; a test compares

Nothing is timed here. In `bench/scale_costs.py`, `MACHINES` and `RUNS` are assumptions, by name; `MEASURED` are sizes
and times of the embedded default, each with where it was read off; the rest follows.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from bench import scale_costs as costs
from bench.scale_costs import MACHINES, RUNS, SHAPES, Run
from breviary.model import memory

DOCUMENT = Path("docs/SCALE.md")
TABLE = re.compile(r"(?P<open><!-- scale: (?P<name>[\w ]+) -->\n)(?P<body>.*?)(?P<close><!-- end -->)", re.S)
HOUR = 3600


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Renew the tables of docs/SCALE.md.")
def main(write: bool) -> None:
    if write:
        DOCUMENT.write_text(renewed(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    for name, body in tables().items():
        click.echo(f"{name}\n\n{body}")


def renewed(text: str) -> str:
    """`text` with every table that it names made anew."""
    made = tables()
    return TABLE.sub(lambda found: f"{found['open']}{made[found['name']]}{found['close']}", text)


def tables() -> dict[str, str]:
    """Every table by name, as Markdown."""
    return {
        "assumptions": _table(["assumption", *MACHINES], _assumptions()),
        "runs": _table(["", *RUNS], _runs()),
        "flops": _table(["per token", *SHAPES], _flops()),
        "memory": _table(["GB in each process", *_columns()], _memory()),
        "hours": _table(["stage", "grows with", *RUNS], _hours()),
        "traffic": _table(["launch", "bytes a step and GPU", "seconds", "beside the step's arithmetic"], _traffic()),
        "bytes": _table(["what", "grows with", *RUNS], _bytes()),
    }


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, [*["---"], *["---:"] * (len(head) - 1)], *rows)]
    return "\n".join(lines) + "\n"


def _assumptions() -> Iterator[Sequence[str]]:
    machines = list(MACHINES.values())
    yield "arithmetic of the matrix products, TFLOP/s", *(f"{each.flops / 1e12:g}" for each in machines)
    yield "share of it that a training step reaches", *(f"{each.utilisation:g}" for each in machines)
    yield "fp64 arithmetic, TFLOP/s", *(f"{each.fp64 / 1e12:g}" for each in machines)
    yield "the processor beside it, fp32, TFLOP/s", *(f"{each.host / 1e12:g}" for each in machines)
    yield "memory for one process, GB", *(f"{each.memory / 1e9:g}" for each in machines)
    yield "memory bandwidth, GB/s", *(f"{each.bandwidth / 1e9:g}" for each in machines)
    yield "bandwidth between processes, GB/s", *(f"{each.link / 1e9:g}" if each.link else "-" for each in machines)


def _runs() -> Iterator[Sequence[str]]:
    runs = list(RUNS.values())
    yield "backbone", *(run.backbone for run in runs)
    yield "machine", *(f"{run.processes} x {run.machine}" for run in runs)
    yield "documents", *(f"{run.documents:,}" for run in runs)
    yield "examples of all phases, epochs counted", *(f"{run.examples:,}" for run in runs)
    yield "tokens of an example, of them targets", *(f"{run.tokens:,}, {run.targets}" for run in runs)
    yield "examples of a step, of a forward pass", *(f"{run.batch}, {run.micro_batch}" for run in runs)
    yield "test documents summarised by each model", *(f"{run.tests:,}" for run in runs)
    yield "examples of both Fishers", *(f"{run.measured:,}" for run in runs)
    yield "optimiser steps, at least", *(f"{costs.steps(run):,}" for run in runs)


def _flops() -> Iterator[Sequence[str]]:
    shapes = [(shape, costs.TOKENS[name]) for name, shape in SHAPES.items()]
    yield "weights of the blocks", *(f"{costs.blocks(shape) / 1e6:,.0f} M" for shape, _ in shapes)
    yield "weights of the adapter", *(f"{costs.adapter(shape) / 1e6:,.1f} M" for shape, _ in shapes)
    yield "tokens of an example", *(f"{tokens:,}" for _, tokens in shapes)
    yield "forward, GFLOP", *(f"{costs.forward(shape, tokens) / 1e9:,.2f}" for shape, tokens in shapes)
    yield "training, GFLOP", *(f"{costs.training(shape, tokens, False) / 1e9:,.2f}" for shape, tokens in shapes)
    yield "with checkpointing", *(f"{costs.training(shape, tokens, True) / 1e9:,.2f}" for shape, tokens in shapes)


def _columns() -> list[str]:
    return ["weights", "adapter", "activations", "logits", "all, with runtime and slack"]


def _memory() -> Iterator[Sequence[str]]:
    for name, estimate in costs.peaks().items():
        parts = (estimate.weights, estimate.adapter, estimate.activations, estimate.logits, estimate.total)
        yield name, *(f"{part / memory.GB:.1f}" for part in parts)


def _hours() -> Iterator[Sequence[str]]:
    every = [costs.seconds(run) for run in RUNS.values()]
    for stage, grows in costs.GROWS.items():
        yield stage, grows, *(_time(each[stage]) for each in every)
    yield "all", "", *(_time(sum(each.values())) for each in every)


def _time(seconds: float) -> str:
    return f"{seconds / HOUR:,.1f} h" if seconds >= HOUR else f"{seconds / 60:,.1f} min" if seconds >= 60 else "< 1 min"


def _traffic() -> Iterator[Sequence[str]]:
    run: Run = RUNS["7B, 10 M documents"]
    for launch, sent in costs.traffic(run).items():
        seconds, arithmetic = sent / MACHINES[run.machine].link, costs.step_seconds(run)
        yield launch, f"{sent / memory.GB:,.1f} GB", f"{seconds:,.2f}", f"{seconds / arithmetic:.0%}"


def _bytes() -> Iterator[Sequence[str]]:
    every = [costs.stored(run) for run in RUNS.values()]
    for what, grows in costs.KEPT.items():
        yield what, grows, *(_size(each[what]) for each in every)


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


if __name__ == "__main__":
    main()
