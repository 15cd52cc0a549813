"""Let one model summarise the test documents."""

from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.records import Document
from breviary.summarise import backbone, predictions, summariser

DOCUMENTS, SPLITS = Path("data/documents.jsonl"), Path("data/splits.json")


@click.command()
@click.argument("model", type=click.Choice(["base", "phase1", "phase2", "phase3"]))
def main(model: str) -> None:
    """Write data/predictions/MODEL.jsonl: by the backbone itself ("base") or with the adapter of a phase."""
    adapter = None if model == "base" else Path("models", model)
    reads = (backbone.BASE, DOCUMENTS, SPLITS, *([adapter] if adapter else []))
    with stage.running(f"predict@{model}", sections=summariser.SECTIONS, reads=reads) as run:
        options = run.params.section("predict", predictions.Options)
        documents = predictions.select(
            artifacts.read_records(DOCUMENTS, Document), artifacts.read_json(SPLITS), options.split, options.limit
        )
        prompter = backbone.prompter(run.params)
        asked = {document.id: prompter.prompt(document.text) for document in documents}
        generate = summariser.generator(run.params, adapter, prompter.tokenizer)
        written = predictions.predict(asked, generate, run.run.scratch / "batches.jsonl", batch_size=options.batch_size)
        made = predictions.records(model, documents, asked, written)
        artifacts.write_records(Path("data/predictions", f"{model}.jsonl"), made)
        run.run.metrics({"documents": len(made), "summary_tokens": sum(each.summary_tokens for each in made)})


if __name__ == "__main__":
    main()
