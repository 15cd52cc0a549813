"""Long documents: the beginning alone, against hierarchical summaries, by quality, by place, and by cost.

    python -m bench.long FILE.jsonl.gz ... --model phase3 [--limit N] [--modes truncate,map_reduce] [--out FILE]

Each line of a file holds a document (`id`, `source_text`) and its reference (`summary`). `--limit` takes so many of a
file, by a hash of their id: a sample without a bias, and always the same one. Every mode summarises the same documents
with the same model, prompt, decoding and section `hierarchy`, which params.yaml names.

    rouge*        F1 against the reference (`evaluate/metrics/rouge.py`)
    coverage_*    share of the summary's sentences that each third of the source supports (`metrics/coverage.py`)
    read          share of the source's tokens that reached the model
    calls, levels, tokens and seconds of reading (prefill) and of writing (decoding), a document

Differences are to `truncate`, paired by document, with their bootstrap interval. All documents of a file move together,
so that seconds are those of full batches: one document alone takes longer, above all with `refine`.
"""

import gzip
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast, get_args

import click
import numpy as np

from breviary import artifacts, config
from breviary.data import cleaning
from breviary.data.prompts import Generated, Prompt
from breviary.evaluate import statistics
from breviary.evaluate.metrics import coverage, rouge
from breviary.records import content_hash
from breviary.summarise import backbone, hierarchy, longform, predictions, summariser
from breviary.summarise.levels import Summary

FLAT: hierarchy.Mode = "truncate"
RESAMPLES, LEVEL = 10_000, 0.95
NUMBERS = ("prefill_tokens", "written_tokens", "seconds", "prefill_seconds")
COST = ("calls", "levels", "prefill_tokens", "prefill_seconds", "written_tokens", "written_seconds", "seconds")


@dataclass
class Meter:
    """Tokens and seconds of reading and of writing, of a model that is asked through it."""

    generate: Callable[[list[Prompt]], list[Generated]]
    counted: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NUMBERS, 0.0))
    began: float = 0.0

    def __call__(self, prompts: list[Prompt]) -> list[Generated]:
        started = time.perf_counter()
        made = self.generate(prompts)
        self.counted["seconds"] += time.perf_counter() - started
        self.counted["prefill_tokens"] += sum(len(each.ids) for each in prompts)
        self.counted["written_tokens"] += sum(each.tokens for each in made)
        return made

    def before(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """A forward pass begins."""
        self.began = time.perf_counter()

    def after(self, module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        """A forward pass ended: of many positions it read, of one it wrote."""
        if kwargs["input_ids"].shape[1] > 1:
            self.counted["prefill_seconds"] += time.perf_counter() - self.began


def read(path: Path, limit: int | None) -> dict[str, tuple[str, str]]:
    """Source and reference by id, at most `limit` of them."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = sorted(map(json.loads, file), key=lambda row: content_hash(row["id"]))
    return {row["id"]: (cleaning.clean(row["source_text"])[0], row["summary"]) for row in rows[:limit]}


def scores(made: dict[str, Summary], documents: dict[str, tuple[str, str]]) -> dict[str, np.ndarray]:
    """Every measure of quality, a number for each document in the order of `documents`."""
    found = []
    for name, (source, reference) in documents.items():
        text = made[name].text
        found.append(rouge.score(text, reference, source) | coverage.score(text, reference, source))
        found[-1]["read"] = made[name].coverage
    return {measure: np.array([each[measure] for each in found]) for measure in found[0]}


def compared(file: str, of: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Means by mode, and differences to the flat mode, each with its interval."""
    settings = {"resamples": RESAMPLES, "level": LEVEL}
    report: dict[str, Any] = {}
    for mode, measures in of.items():
        report[mode] = {"mean": {}, "against_truncate": {}}
        for measure, values in measures.items():
            draw = statistics.generator(0, file, mode, measure)
            known = values[~np.isnan(values)]
            if len(known):
                report[mode]["mean"][measure] = vars(statistics.mean(known, draw, **settings))
            both = ~np.isnan(values) & ~np.isnan(of.get(FLAT, measures)[measure])
            if mode != FLAT and FLAT in of and both.any():
                first, second = values[both], of[FLAT][measure][both]
                report[mode]["against_truncate"][measure] = vars(statistics.compare(first, second, draw, **settings))
    return report


def cost(meter: Meter, made: dict[str, Summary]) -> dict[str, float]:
    """Means of a document."""
    found = {name: meter.counted[name] / len(made) for name in NUMBERS}
    found["written_seconds"] = found["seconds"] - found["prefill_seconds"]
    for name in ("calls", "levels", "tokens"):
        found[name] = float(np.mean([getattr(each, name) for each in made.values()]))
    return {name: round(value, 3) for name, value in sorted(found.items())}


def markdown(report: dict[str, Any]) -> str:
    """The tables of all files."""
    lines = []
    for file, found in report["files"].items():
        lines += ["", f"### {file}: {found['documents']} documents, {found['words']:.0f} words each", ""]
        head = "| mode | ROUGE-1 | against truncate | ROUGE-L | early | middle | late | none | read |"
        lines += [head, "|---" * 9 + "|"]
        for mode, of in found["quality"].items():
            mean = {name: f"{each['mean']:.3f}" for name, each in of["mean"].items()}
            cells = [mean.get(name, "-") for name in ("rougeL", *coverage.THIRDS, coverage.NONE, "read")]
            against = _interval(of["against_truncate"].get("rouge1"))
            lines.append(f"| {mode} | {mean.get('rouge1', '-')} | {against} | {' | '.join(cells)} |")
        lines += ["", f"| a document | {' | '.join(COST).replace('_', ' ')} |", "|---" * (len(COST) + 1) + "|"]
        lines += [
            f"| {mode} | {' | '.join(f'{of[name]:.1f}' for name in COST)} |" for mode, of in found["cost"].items()
        ]
    return "\n".join(lines)


def _interval(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    inside = "" if found["low"] is None else f" [{found['low']:+.3f}, {found['high']:+.3f}]"
    return f"{found['difference']:+.3f}{inside}"


def measured(
    file: Path, modes: Sequence[hierarchy.Mode], limit: int | None, summarise: longform.Summariser, model: Any
) -> dict[str, Any]:
    """Quality and cost of every mode on one file. `model` is what runs inside `summarise`."""
    documents = read(file, limit)
    texts = {name: source for name, (source, _) in documents.items()}
    quality, costs = {}, {}
    for mode in modes:
        meter = Meter(summarise.generate)
        hooks = [
            model.register_forward_pre_hook(meter.before, with_kwargs=True),
            model.register_forward_hook(meter.after, with_kwargs=True),
        ]
        made = replace(summarise, generate=meter).summarise_all(texts, mode=mode)
        for hook in hooks:
            hook.remove()
        quality[mode], costs[mode] = scores(made, documents), cost(meter, made)
        click.echo(f"{file.name}: {mode} done in {costs[mode]['seconds'] * len(made):.0f} s", err=True)
    words = float(np.mean([len(text.split()) for text in texts.values()]))
    return {"documents": len(texts), "words": words, "quality": compared(file.name, quality), "cost": costs}


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="phase3", show_default=True, help="base, or the folder of models/ with the adapter.")
@click.option("--limit", type=int, help="Documents of each file; all if left out.")
@click.option("--modes", default=",".join(get_args(hierarchy.Mode)), show_default=True)
@click.option("--params", "file", default="params.yaml", type=click.Path(path_type=Path), show_default=True)
@click.option("--out", default="metrics/long.json", type=click.Path(path_type=Path), show_default=True)
def main(files: tuple[Path, ...], model: str, limit: int | None, modes: str, file: Path, out: Path) -> None:
    params = config.read(file)
    adapter = None if model == "base" else Path("models", model)
    prompter = backbone.prompter(params)
    options = params.section("predict", predictions.Options)
    loaded = summariser.loaded(params, adapter)
    generate = summariser.writer(params, loaded, prompter.tokenizer, options)
    chosen = params.section("hierarchy", hierarchy.Options)
    if unknown := [mode for mode in modes.split(",") if mode not in hierarchy.MODES]:
        raise click.BadParameter(f"no mode {', '.join(unknown)}; there is: {', '.join(hierarchy.MODES)}")
    asked = cast(list[hierarchy.Mode], modes.split(","))
    summarise = longform.Summariser(prompter, generate, chosen, options.batch_size)
    inner = getattr(loaded, "get_base_model", lambda: loaded)()  # an adapter that is merged leaves the backbone itself
    report = {
        "model": model,
        "room": prompter.room,
        "settings": {"hierarchy": chosen.model_dump(), **statistics.settings(resamples=RESAMPLES, level=LEVEL)},
        "files": {each.name.split(".")[0]: measured(each, asked, limit, summarise, inner) for each in files},
    }
    artifacts.write_json(out, report)
    click.echo(markdown(report))


if __name__ == "__main__":
    main()
