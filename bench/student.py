"""Base, teacher and student beside each other: size, speed, memory and quality, on short and on long documents.

    python -m bench.student [--models base,phase3,student] [--rounds 5] [--limit N] [--long FILE.jsonl.gz]

Every model has a process of its own, so that its peak of memory is its own, and every round asks one after the other
for the same work, so that a slow moment of the machine hits all of them. Speed is the median over rounds:

    reading    prompt tokens a second, of `--batch` prompts of test documents
    writing    new tokens a second after them, every row exactly `--tokens` long

Quality is that of the decoding in params.yaml, over the test documents: short is what `prompt` has room for, long the
whole document by map_reduce; `--long` takes other long documents (`id`, `source_text`, `summary` a line). Kept is the
share of the teacher's score, the second of the models named. Writes metrics/student.json and prints Markdown.
"""

import multiprocessing
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click

from bench.long import read
from breviary import artifacts, config
from breviary.evaluate import measured
from breviary.evaluate.measured import Texts
from breviary.evaluate.metrics import bertscore, rouge
from breviary.model import resolve
from breviary.records import Document
from breviary.summarise import backbone, hierarchy, longform, predictions, summariser
from breviary.tracking.peaks import peak_memory

ENCODER = Path("models/encoder.json")
SHOWN = ("rouge1", "rougeL", "bertscore_f1")


@click.command(help=__doc__)
@click.option("--models", default="base,phase3,student", show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--batch", default=4, show_default=True, help="Prompts read and written together.")
@click.option("--tokens", default=64, show_default=True, help="New tokens of each row.")
@click.option("--limit", type=int, help="Documents of each domain, or of the file.")
@click.option("--long", "file", type=click.Path(exists=True, path_type=Path), help="Other long documents.")
def main(models: str, rounds: int, batch: int, tokens: int, limit: int | None, file: Path | None) -> None:
    short = _documents(limit)
    texts = {"short": short, "long": read(file, limit) if file else short}
    prompts = [source for source, _ in sorted(short.values(), key=lambda each: -len(each[0]))[:batch]]
    context, names = multiprocessing.get_context("spawn"), models.split(",")
    workers = {name: _started(context, name) for name in names}
    report: dict[str, Any] = {name: _ask(worker, "size") for name, worker in workers.items()}
    speeds: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds + 1):
        for name, worker in workers.items():
            speeds[name] += [_ask(worker, "speed", prompts, tokens)] if number else []  # the first round warms up
    for kind, chosen in texts.items():
        for name, worker in workers.items():
            made = _ask(worker, "summaries", {key: source for key, (source, _) in chosen.items()}, kind)
            report[name][kind] = _quality([Texts(made[key], *reversed(chosen[key])) for key in sorted(chosen)])
    for name, worker in workers.items():
        report[name]["speed"] = {key: statistics.median(each[key] for each in speeds[name]) for key in speeds[name][0]}
        report[name]["memory_mib"] = _ask(worker, "memory")
        worker.send(("stop",))
    for process in multiprocessing.active_children():
        process.join()
    artifacts.write_json(Path("metrics/student.json"), _rounded(report))
    print(_markdown(report, names, {kind: len(chosen) for kind, chosen in texts.items()}))


def work(pipe: Connection, name: str) -> None:
    """One model: it answers what it is asked until it is told to stop."""
    params = config.read(Path("params.yaml"))
    adapter = None if name == "base" else Path("models", name)
    base = backbone.record(adapter)
    prompter = backbone.prompter(params, base)
    model = summariser.loaded(params, adapter, base)
    options = params.section("predict", predictions.Options)
    while (task := pipe.recv())[0] != "stop":
        if task[0] == "size":
            from breviary.model import student

            stored = sum(path.stat().st_size for path in adapter.glob("*")) if adapter else 0
            pipe.send({"parameters": student.parameters(model)["all"], "adapter_bytes": stored})
        elif task[0] == "memory":
            pipe.send(peak_memory()["peak_resident_mib"])
        elif task[0] == "speed":
            pipe.send(_speed(model, prompter, task[1], task[2]))
        else:
            generate = summariser.writer(params, model, prompter.tokenizer, options)
            mode = "truncate" if task[2] == "short" else "map_reduce"
            long = longform.Summariser(
                prompter, generate, params.section("hierarchy", hierarchy.Options), options.batch_size
            )
            pipe.send({key: each.text for key, each in long.summarise_all(task[1], mode=mode).items()})


def _speed(model: Any, prompter: Any, texts: Sequence[str], tokens: int) -> dict[str, float]:
    """Tokens read a second, and tokens written a second once that is done."""
    from breviary.model import generate

    asked = [prompter.prompt(text) for text in texts]
    seconds = []
    for length in (1, tokens):
        began = time.perf_counter()
        settings = {"max_new_tokens": length, "min_new_tokens": length, "do_sample": False}
        generate.generate(model, prompter.tokenizer, asked, settings=settings)
        seconds.append(time.perf_counter() - began)
    count = sum(len(each.ids) for each in asked)
    return {"reading": count / seconds[0], "writing": (tokens - 1) * len(asked) / (seconds[1] - seconds[0])}


def _started(context: Any, name: str) -> Connection:
    ours, theirs = context.Pipe()
    context.Process(target=work, args=(theirs, name), daemon=True).start()
    theirs.close()
    return ours


def _ask(worker: Connection, *task: Any) -> Any:
    worker.send(task)
    return worker.recv()


def _documents(limit: int | None) -> dict[str, tuple[str, str]]:
    """Source and reference of the test documents, by id."""
    documents = artifacts.read_records(Path("data/documents.jsonl"), Document)
    chosen = predictions.select(documents, artifacts.read_json(Path("data/splits.json")), "test", limit)
    return {each.id: (each.text, each.summary) for each in chosen}


def _quality(texts: Sequence[Texts]) -> dict[str, float]:
    """The mean of each of `SHOWN`."""
    given = measured.Given(lambda: resolve.folder(ENCODER), lambda: resolve.identity(ENCODER))
    options = bertscore.Options(kind="bertscore", encoder=None, layer=None)
    metrics = [rouge.build(rouge.Options(kind="rouge"), given), bertscore.build(options, given)]
    found = [{**ours, **theirs} for ours, theirs in zip(*(metric.score(texts) for metric in metrics), strict=True)]
    return {name: statistics.fmean(each[name] for each in found) for name in SHOWN}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _markdown(report: dict[str, Any], names: Sequence[str], counts: dict[str, int]) -> str:
    """One table of what a model costs, and one of quality for each kind of document."""
    teacher = names[min(1, len(names) - 1)]
    lines = [
        "| model | parameters | adapter, MB | read, tokens/s | written, tokens/s | peak memory, MiB |",
        "|---" * 6 + "|",
    ]
    for name in names:
        each = report[name]
        ratio = each["speed"]["writing"] / report[teacher]["speed"]["writing"]
        lines.append(
            f"| {name} | {each['parameters']:,} | {each['adapter_bytes'] / 1e6:.1f} | {each['speed']['reading']:.0f} | "
            f"{each['speed']['writing']:.1f} ({ratio:.2f}x) | {each['memory_mib']:.0f} |"
        )
    for kind, count in counts.items():
        lines += ["", f"{kind}: {count} documents", "", "| model | " + " | ".join(SHOWN) + " |", "|---" * 4 + "|"]
        for name in names:
            scores = [(report[name][kind][each], report[teacher][kind][each]) for each in SHOWN]
            lines.append(f"| {name} | " + " | ".join(f"{own:.4f} ({own / of:.0%})" for own, of in scores) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
