"""Score the predictions of every model, compare the phases with the base model, print and record the table."""

from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.errors import ConfigError
from breviary.evaluate import scores, tables
from breviary.records import Document, Prediction

DOCUMENTS, SPLITS = Path("data/documents.jsonl"), Path("data/splits.json")
PREDICTIONS = {model: Path("data/predictions", f"{model}.jsonl") for model in ("base", "phase1", "phase2", "phase3")}
SCORES, FULL = Path("data/scores.jsonl"), Path("data/evaluation.json")  # too much for a row of `dvc metrics show`
BRIEF, TARGET = Path("metrics/scores"), Path("metrics/evaluate.json")


@click.command()
def main() -> None:
    """Evaluate data/predictions/<model>.jsonl of each of evaluate.models."""
    reads = (DOCUMENTS, SPLITS, *PREDICTIONS.values())
    with stage.running("evaluate", sections=("runtime", "evaluate"), reads=reads) as run:
        options = run.params.section("evaluate", scores.Options)
        if unknown := [model for model in options.models if model not in PREDICTIONS]:
            raise ConfigError(f"evaluate.models: no stage predicts '{unknown[0]}' (known: {', '.join(PREDICTIONS)})")
        target = options.target
        documents = artifacts.read_records(DOCUMENTS, Document)
        predictions = {model: artifacts.read_records(PREDICTIONS[model], Prediction) for model in options.models}
        found = scores.evaluate(documents, artifacts.read_json(SPLITS), predictions, options, run.runtime.seed)
        artifacts.write_records(SCORES, found.scored)
        full = tables.full(found, target)
        artifacts.write_json(FULL, full)
        artifacts.write_json(TARGET, {"target": full["target"]})
        with artifacts.atomic(BRIEF) as folder:
            for model in found.summaries:
                artifacts.write_json(folder / f"{model}.json", tables.brief(found, model))
        run.run.metrics(tables.tracked(found, target))
        run.run.table("samples", tables.samples(found, documents, target))
        run.run.artifacts(FULL)
        click.echo(tables.terminal(found, target))


if __name__ == "__main__":
    main()
