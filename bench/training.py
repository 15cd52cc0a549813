"""Training speed and memory beside the usual trainers: the same rows, the same model, one step of each in turn.

    python -m bench.training FILE.jsonl.gz [--precision fp32,bf16] [--dropout 0,0.1] [--rounds 5]

The file holds documents (`source_text`) and their references (`summary`), a line each. Every trainer has a process of
its own (`bench/trainers.py`), so that its peak of memory is its own; every round takes one step of each, in an order
drawn anew, so that a slow moment of the machine hits all of them. A speed is the median over rounds, a ratio the median
of the ratios within rounds. Losses are those of the first step, before any weight moved: without dropout they agree.
Writes metrics/training.json and prints Markdown.
"""

import gzip
import json
import multiprocessing
import platform
import random
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from bench.trainers import TRAINERS, Setting, work
from breviary import artifacts, config
from breviary.data.batches import Row
from breviary.learn.start import BASE
from breviary.model import resolve

OURS, PEER, BY_HAND, LIMIT = "breviary", "trl", "peft", "matmul"
VERSIONS = ("torch", "transformers", "peft", "accelerate", "trl")
Round = dict[str, dict[str, float]]  # by trainer


@click.command(help=__doc__)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--precision", default="fp32,bf16", show_default=True)
@click.option("--dropout", default="0,0.1", show_default=True)
@click.option("--rank", default=32, show_default=True)
@click.option("--batch", default=4, show_default=True, help="Rows of a step, in one forward pass.")
@click.option("--tokens", default=512, show_default=True, help="Of a row at most, prompt and summary together.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--trainers", default=",".join(TRAINERS), show_default=True)
@click.option("--out", default="metrics/training.json", type=click.Path(path_type=Path), show_default=True)
def main(
    file: Path, precision: str, dropout: str, rank: int, batch: int, tokens: int, rounds: int, trainers: str, out: Path
) -> None:
    if unknown := [name for name in trainers.split(",") if name not in TRAINERS]:
        raise click.UsageError(f"no trainer is called {unknown[0]}; there are {', '.join(TRAINERS)}")
    if OURS not in trainers.split(","):
        raise click.UsageError(f"--trainers: the others are compared with {OURS}; name it too")
    threads = config.read(Path("params.yaml")).section("runtime", config.Runtime).threads
    rows, pad = _rows(file, batch, tokens)
    report: dict[str, Any] = {
        "machine": {"processor": _processor(), "threads": threads},
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "rows": {"tokens": [len(row) for row in rows], "targets": [len(row.target) for row in rows], "rank": rank},
        "rounds": rounds,
        "settings": {},
    }
    for kind in precision.split(","):
        for rate in map(float, dropout.split(",")):
            setting = Setting(kind, rank, rate, threads)
            measured = _measured(trainers.split(","), setting, rows, pad, rounds)
            report["settings"][f"{kind}_dropout_{round(100 * rate)}_percent"] = _summary(measured, sum(map(len, rows)))
            artifacts.write_json(out, report)
    print(_markdown(report))


def _rows(file: Path, count: int, tokens: int) -> tuple[list[Row], int]:
    """The first `count` documents of the file, as much of each as `tokens` allow."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve.folder(BASE))
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
    rows = []
    for number, document in enumerate(documents):
        target = [*tokenizer.encode(document["summary"])[: tokens // 4], tokenizer.eos_token_id]
        rows.append(Row(str(number), tokenizer.encode(document["source_text"])[: tokens + 1 - len(target)], target))
    return rows, tokenizer.eos_token_id


def _measured(names: Sequence[str], setting: Setting, rows: Sequence[Row], pad: int, rounds: int) -> list[Round]:
    """What each trainer took in each round; the first one, which warms up, is where the losses come from."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name in names:
        pipes[name], theirs = context.Pipe()
        context.Process(target=work, args=(theirs, name, setting, rows, pad), daemon=True).start()
    found: list[Round] = []
    for number in range(rounds + 1):
        found.append({name: _asked(pipes[name]) for name in random.Random(number).sample(list(names), len(names))})
    for pipe in pipes.values():
        pipe.send("stop")
    for process in multiprocessing.active_children():
        process.join()
    return found


def _asked(pipe: Any) -> dict[str, float]:
    pipe.send("step")
    return pipe.recv()


def _summary(measured: Sequence[Round], tokens: int) -> dict[str, Any]:
    """Medians by trainer, and the ratios of ours to the others'."""
    first, rounds = measured[0], measured[1:]
    found: dict[str, Any] = {}
    for name in first:
        ratios = {
            f"{OURS}_faster_by_{clock}": statistics.median(each[name][clock] / each[OURS][clock] for each in rounds)
            for clock in ("seconds", "cpu")
        }
        found[name] = {
            "tokens_per_second": tokens / statistics.median(each[name]["seconds"] for each in rounds),
            "cpu_seconds": statistics.median(each[name]["cpu"] for each in rounds),
            "memory_mib": rounds[-1][name]["memory_mib"],
            "first_loss": None if name == LIMIT else first[name]["loss"],
            **ratios,
        }
    return {name: {key: _short(value) for key, value in each.items()} for name, each in found.items()}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    named = (
        [line.split(":")[1].strip() for line in known.read_text().splitlines() if line.startswith("model name")]
        if known.is_file()
        else []
    )
    return named[0] if named else platform.processor()


def _markdown(report: dict[str, Any]) -> str:
    """A table for each setting."""
    lines = []
    for setting, found in report["settings"].items():
        ours = found[OURS]
        lines += ["", f"**{setting.replace('_', ' ')}**", ""]
        lines += [
            "| trainer | tokens/s | breviary faster by | CPU s a step | peak, MiB | breviary's share of it | loss |"
        ]
        lines += ["|---" * 7 + "|"]
        for name, each in found.items():
            loss = "" if each["first_loss"] is None else f"{each['first_loss']:.4f}"
            share = ours["memory_mib"] / each["memory_mib"]
            lines.append(
                f"| {name} | {each['tokens_per_second']:.0f} | {each[f'{OURS}_faster_by_seconds']:.2f}x | "
                f"{each['cpu_seconds']:.1f} | {each['memory_mib']:.0f} | {share:.0%} | {loss} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
