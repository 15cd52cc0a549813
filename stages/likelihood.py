"""Measure how likely one model finds the reference summaries of the test documents, and their plain text."""

from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.model import devices
from breviary.records import Document
from breviary.summarise import backbone, likelihoods, predictions

DOCUMENTS, SPLITS = Path("data/documents.jsonl"), Path("data/splits.json")


@click.command()
@click.argument("model", type=click.Choice(["base", "phase1", "phase2", "phase3", "student"]))
def main(model: str) -> None:
    """Write data/likelihoods/MODEL.jsonl: of the backbone ("base"), with the adapter of a phase, or of the student."""
    adapter = None if model == "base" else Path("models", model)
    reads = (backbone.BASE, DOCUMENTS, SPLITS, *([adapter] if adapter else []))
    sections = likelihoods.SECTIONS
    with stage.running(f"likelihood@{model}", sections=sections, reads=reads) as run, devices.taken(run.name):
        options = run.params.section("likelihood", likelihoods.Options)
        documents = predictions.select(
            artifacts.read_records(DOCUMENTS, Document), artifacts.read_json(SPLITS), options.split, options.limit
        )
        prompter = backbone.prompter(run.params, backbone.record(adapter))
        measured = likelihoods.measure(model, likelihoods.loaded(run.params, adapter), documents, prompter, options)
        artifacts.write_records(Path("data/likelihoods", f"{model}.jsonl"), measured)
        run.run.metrics(likelihoods.means(measured))


if __name__ == "__main__":
    main()
