"""Let one model summarise the test documents."""

from functools import partial
from pathlib import Path

import click

from breviary import artifacts, config, stage
from breviary.data import prompts, tokens
from breviary.model import memory, resolve
from breviary.records import Document
from breviary.summarise import predictions

BASE, DOCUMENTS, SPLITS = Path("models/base.json"), Path("data/documents.jsonl"), Path("data/splits.json")
SECTIONS = ("runtime", "compute", "adapter", "prompt", "predict")


@click.command()
@click.argument("name", type=click.Choice(["base", "phase1", "phase2", "phase3"]))
def main(name: str) -> None:
    """Write data/predictions/NAME.jsonl: by the backbone itself ("base") or with the adapter of a phase."""
    adapter = None if name == "base" else Path("models", name)
    reads = (BASE, DOCUMENTS, SPLITS, *([adapter] if adapter else []))
    with stage.running(f"predict@{name}", sections=SECTIONS, reads=reads) as run:
        options = run.params.section("predict", predictions.Options)
        documents = predictions.select(
            artifacts.read_records(DOCUMENTS, Document), artifacts.read_json(SPLITS), options.split, options.limit
        )
        folder = resolve.folder(BASE)
        prompting = run.params.section("prompt", prompts.Options)
        prompter = prompts.build(prompting, tokens.load(folder), resolve.window(BASE))
        asked = {document.id: prompter.prompt(document.text) for document in documents}
        generate = _generator(run, folder, adapter, prompter, options)
        written = predictions.predict(asked, generate, run.run.scratch / "batches.jsonl", batch_size=options.batch_size)
        made = predictions.records(name, documents, asked, written)
        artifacts.write_records(Path("data/predictions", f"{name}.jsonl"), made)
        run.run.metrics({"summary_tokens": sum(each.summary_tokens for each in made), "documents": len(made)})


def _generator(run, folder, adapter, prompter, options):
    """The model, as a function from prompts to texts."""
    from breviary.model import adapt, compute, generate

    arithmetic = run.params.section("compute", compute.Options)
    config_ = artifacts.read_json(BASE)["config"]
    memory.require_generation(config_, arithmetic, run.params.section("adapter", config.Options), prompter, options)
    compute.prepare(run.runtime)
    model = compute.load(folder, arithmetic)
    if adapter:
        model = adapt.load(model, adapter, resolve.identity(BASE), trainable=False)
    settings = predictions.generation(options)
    return partial(generate.generate, model.eval(), prompter.tokenizer, settings=settings)


if __name__ == "__main__":
    main()
