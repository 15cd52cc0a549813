"""One phase of the curriculum, from files to files: a mixture and the adapter before it in, an adapter out."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

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
)
from breviary.learn.checkpoint import Progress
from breviary.learn.curriculum import Options
from breviary.learn.equipment import PAIRS
from breviary.learn.start import BASE, adapter, mixture
from breviary.model import adapt, compute, memory, resolve, resources
from breviary.records import Example
from breviary.stage import Stage

VALID = Path("data/mixtures/valid.jsonl")


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
    validation = {
        domain: batches.rows(examples, prompter)
        for domain, examples in _by_domain(artifacts.read_records(VALID, Example)).items()
    }
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
        validation,
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
            details = {name: _shown(held.details()) for name, held in constraints.items()}
            artifacts.write_json(adapter(phase) / "constraints.json", details)
        stage.run.artifacts(adapter(phase))
        _write(phase, progress)


def refuse_early(params: config.Params) -> None:
    """Raise for what would stop any phase, before hours are spent on the first."""
    phases = params.all(Options)
    for name, options in phases.items():
        objective.check(options.terms, f"params.yaml: {name}.terms")
        constrained.check(options.constraints, f"params.yaml: {name}.constraints")
    measuring.check(params.all(measuring.Options))
    shape = artifacts.read_json(BASE)["config"]
    compatibility.check(params, shape)
    arithmetic, adapting = params.section("compute", compute.Options), params.section("adapter", config.Options)
    prompting, there = params.section("prompt", prompts.Options), resources.available()
    for name, options in phases.items():
        resources.require(name, memory.for_phase(shape, arithmetic, adapting, prompting, options), there)


def _by_domain(examples: list[Example]) -> Mapping[str, list[Example]]:
    found = defaultdict(list)
    for example in sorted(examples, key=lambda each: each.domain):
        found[example.domain].append(example)
    return found


def _shown(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Four digits of each, which is more than such numbers mean."""
    return {name: {key: float(f"{value:.4g}") for key, value in each.items()} for name, each in values.items()}


def _write(phase: str, progress: Progress) -> None:
    """The metrics and the curve of a phase."""
    validated = [row for row in progress.curve if "valid/mean" in row]
    kept = next(row for row in validated if row["step"] == progress.best_step)
    summary = {
        "steps": progress.step,
        "best_step": progress.best_step,
        "nonfinite": progress.dropped,
        "valid": {
            name: {key.removeprefix("valid/"): round(row[key], 4) for key in row if key.startswith("valid/")}
            for name, row in (("before", validated[0]), ("best", kept), ("last", validated[-1]))
        },
        "reports": _shown({when: found for when, found in progress.reports.items() if found}),
    }
    artifacts.write_json(Path("metrics", f"train_{phase}.json"), summary)
    columns = sorted({key for row in progress.curve for key in row} - {"step"})
    lines = [",".join(["step", *columns])]
    lines += [",".join([str(row["step"]), *(str(row.get(key, "")) for key in columns)]) for row in progress.curve]
    artifacts.write_text(Path("metrics/curves", f"train_{phase}.csv"), "\n".join(lines) + "\n")
