"""One phase of the curriculum, from files to files: a mixture and the adapter before it in, an adapter out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breviary import artifacts, config
from breviary.data import batches, prompts
from breviary.learn import (
    anchors,
    companions,
    compatibility,
    constrained,
    equipment,
    fit,
    measuring,
    objective,
    start,
    subspace,
    validation,
    written,
)
from breviary.learn.curriculum import Options
from breviary.learn.equipment import PAIRS
from breviary.learn.start import BASE, adapter, mixture
from breviary.learn.validation import VALID
from breviary.model import adapt, compute, memory, resolve, resources
from breviary.records import Example
from breviary.stage import Stage


def reads(phase: str, previous: str | None) -> list[Path]:
    """The files that training `phase` depends on."""
    if not previous:
        return [BASE, VALID, mixture(phase)]
    earlier = [adapter(previous), anchors.folder(previous), subspace.file("base"), subspace.file(previous)]
    return [BASE, VALID, PAIRS, mixture(phase), *earlier]


def run(stage: Stage, phase: str, previous: str | None) -> None:
    """Train `phase` from the adapter of `previous` (a fresh one if there is none), and write what came of it."""
    options = stage.params.section(stage.name, Options)
    refuse_early(stage.everything)
    prompter = start.prompter(stage)
    words = objective.words(options.terms)
    rows = batches.rows(artifacts.read_records(mixture(phase), Example), prompter, words)
    watched = validation.rows(prompter)
    compute.prepare(stage.runtime)
    accelerator = start.accelerator(stage)
    model = start.model(stage, previous)
    terms, constraints = equipment.build(stage, options, model, accelerator, prompter, previous)
    if options.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    progress = fit.fit(
        model.train(),
        options,
        rows,
        watched,
        objective=terms,
        constraints=constraints,
        accelerator=accelerator,
        pad=prompter.tokenizer.pad,
        seed=stage.runtime.seed,
        scratch=stage.run.scratch,
        log=stage.run.metrics,
    )
    if accelerator.is_main_process:
        adapt.save(model, adapter(phase), resolve.identity(BASE))
        companions.save(terms.trained, adapter(phase))
        if constraints:
            details = {name: written.shown(held.details()) for name, held in constraints.items()}
            artifacts.write_json(adapter(phase) / "constraints.json", details)
        stage.run.artifacts(adapter(phase))
        artifacts.write_json(Path("metrics", f"train_{phase}.json"), written.summary(progress))
        artifacts.write_text(Path("metrics/curves", f"train_{phase}.csv"), written.curve(progress))


def refuse_early(params: config.Params) -> None:
    """Raise for what would stop any phase, before hours are spent on the first."""
    refuse_methods(params, None)
    shape, phases = artifacts.read_json(BASE)["config"], params.all(Options)
    compatibility.check(params, shape)
    arithmetic, adapting = params.section("compute", compute.Options), params.section("adapter", config.Options)
    prompting, there = params.section("prompt", prompts.Options), resources.available()
    for name, options in phases.items():
        resources.require(name, memory.for_phase(shape, arithmetic, adapting, prompting, options), there)


def refuse_methods(params: config.Params, backbone: Mapping[str, Any] | None) -> None:
    """Raise ConfigError where the methods of any phase are misspelt, or do not go together on a backbone with this
    config.json; None is one that is not there yet, with which they cannot be compared."""
    for name, options in params.all(Options).items():
        objective.check(options.terms, f"params.yaml: {name}.terms")
        constrained.check(options.constraints, f"params.yaml: {name}.constraints")
    measuring.check(params.all(measuring.Options))
    if backbone is not None:
        compatibility.check(params, backbone)
