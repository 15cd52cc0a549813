"""Score every model's predictions, compare the phases with the base model, and say what each phase taught and cost."""

from functools import partial
from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.errors import ConfigError
from breviary.evaluate import measured, measures, scores, tables, transfer, transfer_tables
from breviary.model import compute, resolve
from breviary.records import Document, Example, Likelihood, Prediction

LEARNED = ("base", "phase1", "phase2", "phase3")  # of which each but the first has a mixture
MODELS = (*LEARNED, "student")
DOCUMENTS, SPLITS, ENCODER = Path("data/documents.jsonl"), Path("data/splits.json"), Path("models/encoder.json")
MIXTURES = {phase: Path("data/mixtures", f"{phase}.jsonl") for phase in LEARNED[1:]}
PREDICTIONS = {model: Path("data/predictions", f"{model}.jsonl") for model in MODELS}
LIKELIHOODS = {model: Path("data/likelihoods", f"{model}.jsonl") for model in MODELS}
SCORES, FULL = Path("data/scores.jsonl"), Path("data/evaluation.json")
BRIEF, TARGET = Path("metrics/scores"), Path("metrics/evaluate.json")
TRANSFER, CURVE = Path("metrics/transfer.json"), Path("metrics/curves/transfer.csv")
GIVEN = measured.Given(partial(resolve.folder, ENCODER), partial(resolve.identity, ENCODER))


@click.command()
def main() -> None:
    """Evaluate data/predictions/<model>.jsonl and data/likelihoods/<model>.jsonl of each of evaluate.models."""
    reads = (DOCUMENTS, SPLITS, ENCODER, *MIXTURES.values(), *PREDICTIONS.values(), *LIKELIHOODS.values())
    with stage.running("evaluate", sections=("runtime", "evaluate"), reads=reads) as run:
        compute.prepare(run.runtime)
        options, seed = run.params.section("evaluate", scores.Options), run.runtime.seed
        if unknown := [model for model in options.models if model not in MODELS]:
            raise ConfigError(f"evaluate.models: no stage predicts '{unknown[0]}' (known: {', '.join(MODELS)})")
        documents = artifacts.read_records(DOCUMENTS, Document)
        predictions = {model: artifacts.read_records(PREDICTIONS[model], Prediction) for model in options.models}
        likelihoods = {model: artifacts.read_records(LIKELIHOODS[model], Likelihood) for model in options.models}
        mixtures = {phase: artifacts.read_records(path, Example) for phase, path in MIXTURES.items()}
        found = scores.evaluate(documents, artifacts.read_json(SPLITS), predictions, options, GIVEN, seed)
        compared = measures.measures(likelihoods, found.scored, documents)
        chance = {"seed": seed, "resamples": options.resamples, "level": options.level}
        taught = transfer.transfers(compared, documents, mixtures, LEARNED, **chance)
        artifacts.write_records(SCORES, found.scored)
        full = tables.full(found, options.target)
        artifacts.write_json(FULL, full | {"transfer": transfer_tables.full(taught)})
        artifacts.write_json(TARGET, {"target": full["target"]})
        with artifacts.atomic(BRIEF) as folder:
            for model in found.summaries:
                if brief := tables.brief(found, model):
                    artifacts.write_json(folder / f"{model}.json", brief)
        artifacts.write_json(TRANSFER, transfer_tables.brief(taught))
        artifacts.write_text(CURVE, transfer_tables.curve(taught))
        run.run.metrics(tables.tracked(found, options.target) | transfer_tables.tracked(taught))
        run.run.table("samples", tables.samples(found, documents, options.target))
        run.run.artifacts(FULL)
        click.echo(f"{tables.terminal(found, options.target)}\n\n{transfer_tables.terminal(taught, options.level)}")


if __name__ == "__main__":
    main()
