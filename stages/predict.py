"""Let one model summarise the test documents."""

from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.model import devices
from breviary.records import Document
from breviary.summarise import backbone, hierarchy, longform, predictions, summariser

DOCUMENTS, SPLITS = Path("data/documents.jsonl"), Path("data/splits.json")


@click.command()
@click.argument("model", type=click.Choice(["base", "phase1", "phase2", "phase3", "student"]))
def main(model: str) -> None:
    """Write data/predictions/MODEL.jsonl: by the backbone ("base"), with the adapter of a phase, or by the student."""
    adapter = None if model == "base" else Path("models", model)
    reads = (backbone.BASE, longform.ENCODER, DOCUMENTS, SPLITS, *([adapter] if adapter else []))
    sections = (*summariser.SECTIONS, "hierarchy")
    with stage.running(f"predict@{model}", sections=sections, reads=reads) as run, devices.taken(run.name):
        options = run.params.section("predict", predictions.Options)
        long = run.params.section("hierarchy", hierarchy.Options)
        documents = predictions.select(
            artifacts.read_records(DOCUMENTS, Document), artifacts.read_json(SPLITS), options.split, options.limit
        )
        base = backbone.record(adapter)
        prompter = backbone.prompter(run.params, base)
        generate = summariser.generator(run.params, adapter, prompter.tokenizer, base)
        summarise = longform.Summariser(prompter, generate, long, options.batch_size, longform.index(long))
        made = longform.predict(model, documents, summarise, run.run.scratch)
        artifacts.write_records(Path("data/predictions", f"{model}.jsonl"), made)
        run.run.metrics({"documents": len(made), "summary_tokens": sum(each.summary_tokens for each in made)})


if __name__ == "__main__":
    main()
