"""What each method against forgetting is worth: a grid of experiments, and the tables of what came of them.

    python -m bench.ablation run [--arms main,sweep] [--seeds 17,18,19] [--set key=value ...] [--generate]
    python -m bench.ablation report

`run` makes one DVC experiment for each arm (`bench/arms.py`) and seed, on the profile `forgetting`, seed by seed, so
that a grid that is stopped can already be compared. It can be stopped and started at will: finished experiments are
left alone, stages that did not change come from the run cache, a phase goes on from its checkpoint. All seeds share
the documents of each split, and all arms of a seed share their first phase unless they change it. `report` reads the
experiments, writes metrics/ablation.json and docs/figures/pareto.svg, and prints Markdown.

`--set` changes all arms, as `dvc exp run -S` does (`--set prompt.max_tokens=1024`); give such a grid a `--prefix` of
its own, or it takes the other's place.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from bench import arms, experiments, results, tables
from bench.results import FIRST, Result
from breviary import artifacts, catalogue
from breviary.cli import overlays
from breviary.evaluate import measured, scoring
from breviary.model import resolve
from breviary.records import Document, Likelihood, Prediction

PROFILE = "forgetting"
ENCODER = Path("models/encoder.json")
GIVEN = measured.Given(partial(resolve.folder, ENCODER), partial(resolve.identity, ENCODER))
LOGS, METRICS, FIGURE = Path(".dvc/tmp/ablation"), Path("metrics/ablation.json"), Path("docs/figures/pareto.svg")


@click.group(help=__doc__)
def main() -> None:
    pass


arms_option = click.option("--arms", "words", default="main", show_default=True, help="Arms or groups, with commas.")
seeds_option = click.option("--seeds", default="17,18,19", show_default=True, help="Training seeds, with commas.")
prefix_option = click.option(
    "--prefix", default="ablation", show_default=True, help="First part of experiments' names."
)


@main.command()
@arms_option
@seeds_option
@prefix_option
@click.option("--profile", default=PROFILE, show_default=True)
@click.option("--set", "extra", multiple=True, metavar="KEY=VALUE", help="For all arms, as `dvc exp run -S`.")
@click.option("--generate", is_flag=True, help="Let the last model of each arm summarise the test documents too.")
def run(words: str, seeds: str, prefix: str, profile: str, extra: tuple[str, ...], generate: bool) -> None:
    """Run what is not there yet."""
    shared = [word for word in overlays.arguments(profile) if word != "-S"] + list(extra)
    planned = [(f"{prefix}-{arm}-{seed}", arm, seed) for seed in _numbers(seeds) for arm in _arms(words)]
    try:
        params = {name: experiments.overridden(_overrides(shared, arm, seed)) for name, arm, seed in planned}
        now, known, failed = experiments.workspace(), experiments.known(prefix), list[str]()
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    experiments.link(params[planned[0][0]]["data"]["root"])
    for number, (name, arm, seed) in enumerate(planned, 1):
        targets = targets_of(arm, generate)
        there = known.get(name)
        if there and experiments.is_current(there, now, params[name], targets):
            click.echo(f"[{number}/{len(planned)}] {name}: there already")
            continue
        began = time.monotonic()
        status = experiments.run(name, _overrides(shared, arm, seed), targets, LOGS / f"{name}.log")
        said = f"failed, see {LOGS / f'{name}.log'}" if status else "done"
        click.echo(f"[{number}/{len(planned)}] {name}: {said}, {time.monotonic() - began:.0f} s")
        failed += [name] if status else []
    sys.exit(1 if failed else 0)


@main.command()
@arms_option
@seeds_option
@prefix_option
@click.option("--resamples", default=10_000, show_default=True)
@click.option("--level", default=0.95, show_default=True)
def report(words: str, seeds: str, prefix: str, resamples: int, level: float) -> None:
    """Tables of the experiments that there are."""
    known = experiments.known(prefix)
    found: dict[str, dict[int, Result]] = {}
    code: dict[str, str] = {}
    for arm in _arms(words):
        for seed in _numbers(seeds):
            if commit := known.get(f"{prefix}-{arm}-{seed}"):
                found.setdefault(arm, {})[seed] = _read(commit, arm)
                code[f"{arm} {seed}"] = " ".join(
                    experiments.git("rev-parse", f"{commit}:src", f"{commit}:stages").split()
                )
    if not found:
        raise click.ClickException(f"no experiment {prefix}-*: run `python -m bench.ablation run` first")
    if len(set(code.values())) > 1:
        click.echo("warning: these experiments did not all run with the same code; `run` makes them new", err=True)
    try:
        summary = results.summary(found, old="paper", new="talk", resamples=resamples, level=level)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    artifacts.write_json(METRICS, summary)
    tables.curve(summary, FIGURE)
    click.echo(tables.markdown(summary))


def targets_of(arm: str, generate: bool) -> list[str]:
    """The stages that an arm is judged by."""
    models = list(dict.fromkeys([results.BASE, FIRST, arms.ARMS[arm].last]))
    return [f"{stage}@{model}" for stage in ("likelihood", *(["predict"] if generate else [])) for model in models]


def _overrides(shared: Sequence[str], arm: str, seed: int) -> list[str]:
    return [*shared, *arms.ARMS[arm].changes, f"runtime.seed={seed}"]


def _arms(words: str) -> list[str]:
    try:
        return arms.chosen(words)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _numbers(words: str) -> list[int]:
    return [int(word) for word in words.split(",")]


def _read(commit: str, arm: str) -> Result:
    """One experiment. Its other outputs are its baseline's, and are not looked at."""
    files, last = experiments.files(commit), arms.ARMS[arm].last
    models = dict.fromkeys([results.BASE, FIRST, last])
    stage = f"train_{last}"
    return Result(
        likelihoods={
            model: list(_records(files.read_text(f"data/likelihoods/{model}.jsonl"), Likelihood)) for model in models
        },
        reports=json.loads(files.read_text(f"metrics/{stage}.json")).get("reports", {}),
        cost=_cost(files.read_text(f"runs/{stage}.json")),
        written=_written(commit, files, last),
    )


def _records(text: str, kind: Any) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        path.write_text(text, encoding="utf-8")
        yield from artifacts.read_records(path, kind)


def _cost(receipt: str) -> dict[str, float]:
    """What MLflow has of the run that a receipt stands for; nothing if it was not uploaded (`breviary sync`)."""
    from breviary.tracking import store

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "receipt.json"
        path.write_text(receipt, encoding="utf-8")
        run = store.find(path)
    if run is None:
        return {}
    client = store.connect(store.uri()).client
    measured = client.get_run(run).data.metrics
    speeds = [each.value for each in client.get_metric_history(run, "tokens_per_second")]
    cost = {name: measured[name] for name in ("wall_seconds", "peak_resident_mib") if name in measured}
    return cost | ({"tokens_per_second": float(np.median(speeds))} if speeds else {})


def _written(commit: str, files: Any, last: str) -> Mapping[str, results.Written]:
    """Every score of every summary that was written in this experiment, if its models were asked to, and the style of
    the references beside them."""
    params, stages = experiments.state(commit)
    models = {when: model for when, model in (("before", FIRST), ("after", last)) if when == "after" or model != last}
    if not all(experiments.is_fresh(f"predict@{model}", stages, params) for model in models.values()):
        return {}
    documents = {each.id: each for each in _records(files.read_text("data/documents.jsonl"), Document)}
    texts = {when: _summaries(files.read_text(f"data/predictions/{model}.jsonl")) for when, model in models.items()}
    texts["reference"] = {name: documents[name].summary for name in texts["after"]}
    metrics = scoring.build([_metric(each) for each in params["evaluate"]["metrics"]], GIVEN)
    directions = scoring.directions_of(scoring.modules(list(metrics)))
    found: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for each in scoring.score(documents, texts, metrics, directions)[0]:
        for metric, value in each.scores.items():
            if value is not None and (each.model != "reference" or directions[metric] is None):
                found.setdefault(each.model, {}).setdefault((each.domain, metric), {})[each.document] = value
    return found


def _summaries(text: str) -> dict[str, str]:
    return {each.document: each.summary for each in _records(text, Prediction)}


def _metric(options: Any) -> Any:
    return catalogue.resolve(scoring.METRICS, options["kind"]).Options.model_validate(options)


if __name__ == "__main__":
    main()
