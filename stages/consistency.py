"""Hear whether a model's summaries of a paper and of a talk about it agree, beside those of shuffled pairs."""

from functools import partial
from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.evaluate import listeners, measured, scores, scoring
from breviary.model import compute, resolve
from breviary.records import Chunk, Document, Pair, Prediction

MODELS = ("base", "phase1", "phase2", "phase3", "student")
DOCUMENTS, CHUNKS, PAIRS = Path("data/documents.jsonl"), Path("data/chunks.jsonl"), Path("data/pairs.jsonl")
PREDICTIONS = {model: Path("data/predictions", f"{model}.jsonl") for model in MODELS}
ENCODER, RESULT = Path("models/encoder.json"), Path("metrics/consistency.json")


@click.command()
def main() -> None:
    """Compare data/predictions/<model>.jsonl over data/pairs.jsonl."""
    reads = (DOCUMENTS, CHUNKS, PAIRS, ENCODER, *PREDICTIONS.values())
    with stage.running("consistency", sections=("runtime", "evaluate"), reads=reads) as run:
        compute.prepare(run.runtime)
        options = run.params.section("evaluate", scores.Options)
        documents = {each.id: each for each in artifacts.read_records(DOCUMENTS, Document)}
        predictions = {model: artifacts.read_records(PREDICTIONS[model], Prediction) for model in options.models}
        found = listeners.heard(
            scoring.collected(predictions, documents),
            artifacts.read_records(PAIRS, Pair),
            artifacts.read_records(CHUNKS, Chunk),
            measured.Given(partial(resolve.folder, ENCODER), partial(resolve.identity, ENCODER)),
            seed=run.runtime.seed,
            resamples=options.resamples,
            level=options.level,
        )
        artifacts.write_json(RESULT, found)
        run.run.metrics(listeners.tracked(found))
        click.echo(listeners.terminal(found))


if __name__ == "__main__":
    main()
