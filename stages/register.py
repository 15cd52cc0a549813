"""Let the gate judge the trained models, register each once, and move the champion where it may."""

from functools import partial
from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.errors import ConfigError
from breviary.evaluate import dossier, gate
from breviary.evaluate.scoring import Scored
from breviary.records import Likelihood
from breviary.registry import versions
from breviary.serve import candidate
from breviary.summarise import asked, backbone

TRAINED_BY = {"phase3": "train_phase3", "student": "distill"}  # model -> the stage that writes models/<model>
COMPARED = ("base", "phase1", "phase2", *TRAINED_BY)
SCORES, EVALUATION = Path("data/scores.jsonl"), Path("data/evaluation.json")
LIKELIHOODS = {model: Path("data/likelihoods", f"{model}.jsonl") for model in COMPARED}
RESULT, REGISTERED, RECEIPTS = Path("metrics/register.json"), Path("data/registered.json"), Path("runs")
SECTIONS = (*asked.SECTIONS, "gate", "register")


@click.command()
def main() -> None:
    """Register models/<model> under each name of register.models."""
    reads = (backbone.BASE, SCORES, EVALUATION, *LIKELIHOODS.values(), *(Path("models", each) for each in TRAINED_BY))
    with stage.running("register", sections=SECTIONS, reads=reads) as run:
        options, chosen = run.params.section("gate", gate.Options), run.params.section("register", versions.Options)
        if unknown := sorted({*chosen.models.values()} - TRAINED_BY.keys()):
            raise ConfigError(f"register.models: no stage trains '{unknown[0]}' (known: {', '.join(TRAINED_BY)})")
        evaluation, scored = artifacts.read_json(EVALUATION), artifacts.read_records(SCORES, Scored)
        judged = [model for model in COMPARED if any(each.model == model for each in scored)]
        known = {
            model: dossier.collect(model, scored, artifacts.read_records(LIKELIHOODS[model], Likelihood), evaluation)
            for model in judged
        }
        if absent := sorted({*chosen.models.values()} - known.keys()):
            raise ConfigError(f"register.models: '{absent[0]}' is not among evaluate.models ({', '.join(judged)})")
        connection = versions.opened()
        outcomes = {}
        for name, model in chosen.models.items():
            shown = gate.evidence(known, model, evaluation, run.runtime.seed)
            served = run.params.only(asked.SECTIONS)
            asks = candidate.Candidate(
                name, Path("models", model), backbone.BASE, served, known[model], TRAINED_BY[model], RECEIPTS
            )
            outcome = candidate.submit(connection, asks, partial(gate.decide, options, shown))
            outcomes[name] = {"model": model} | outcome.as_json()
            run.run.tags({f"{name}.gate": "\n".join(outcome.lines())})
            click.echo("\n".join(outcome.lines()))
        artifacts.write_json(RESULT, outcomes)
        artifacts.write_json(REGISTERED, {name: outcome["content"] for name, outcome in outcomes.items()})
        run.run.artifacts(RESULT)
        run.run.gather()


if __name__ == "__main__":
    main()
