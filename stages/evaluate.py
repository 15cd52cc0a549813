"""Score the predictions of every model, compare the phases with the base model, print and record the table."""

from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.evaluate import scores, tables
from breviary.records import Document, Prediction

DOCUMENTS, SPLITS = Path("data/documents.jsonl"), Path("data/splits.json")
PREDICTIONS = Path("data/predictions")
FULL, BRIEF, SCORES = Path("metrics/evaluate.json"), Path("metrics/scores"), Path("data/scores.jsonl")


@click.command()
def main() -> None:
    """Evaluate data/predictions/<model>.jsonl of each of evaluate.models."""
    reads = (DOCUMENTS, SPLITS, *sorted(PREDICTIONS.glob("*.jsonl")))
    with stage.running("evaluate", sections=("runtime", "evaluate"), reads=reads) as run:
        options = run.params.section("evaluate", scores.Options)
        target = options.target
        documents = artifacts.read_records(DOCUMENTS, Document)
        predictions = {
            model: artifacts.read_records(PREDICTIONS / f"{model}.jsonl", Prediction) for model in options.models
        }
        found = scores.evaluate(documents, artifacts.read_json(SPLITS), predictions, options, run.runtime.seed)
        artifacts.write_records(SCORES, found.scored)
        artifacts.write_json(FULL, tables.full(found, target))
        with artifacts.atomic(BRIEF) as folder:
            for model in found.summaries:
                artifacts.write_json(folder / f"{model}.json", tables.brief(found, model))
        run.run.metrics(tables.tracked(found, target))
        run.run.table("samples", tables.samples(found, documents, target))
        run.run.artifacts(FULL)
        click.echo(tables.terminal(found, target))


if __name__ == "__main__":
    main()
