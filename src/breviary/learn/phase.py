"""One phase of the curriculum, from files to files: a mixture and the adapter before it in, an adapter out."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from breviary import artifacts, config
from breviary.data import batches, prompts, tokens
from breviary.data.batches import Row
from breviary.learn import fit, objective
from breviary.learn.checkpoint import Progress
from breviary.learn.curriculum import Options
from breviary.model import adapt, chat, compute, memory, resolve
from breviary.records import Example
from breviary.stage import Stage

BASE, VALID = Path("models/base.json"), Path("data/mixtures/valid.jsonl")
SECTIONS = ("runtime", "compute", "adapter", "prompt")


def reads(phase: str, previous: str | None) -> list[Path]:
    """The files that training `phase` depends on."""
    return [BASE, VALID, mixture(phase), *([Path("models", previous)] if previous else [])]


def mixture(phase: str) -> Path:
    """The training examples of `phase`."""
    return Path("data/mixtures", f"{phase}.jsonl")


def run(stage: Stage, phase: str, previous: str | None) -> None:
    """Train `phase` from the adapter of `previous` (a fresh one if there is none), and write what came of it."""
    from accelerate import Accelerator

    options = stage.params.section(stage.name, Options)
    adapter = stage.params.section("adapter", config.Options)
    arithmetic = stage.params.section("compute", compute.Options)
    prompting = stage.params.section("prompt", prompts.Options)
    _refuse_early(stage.everything, arithmetic, adapter, prompting)
    folder, identity = resolve.folder(BASE), resolve.identity(BASE)
    prompter = prompts.build(prompting, tokens.load(folder), resolve.window(BASE), chat.frame)
    rows = batches.rows(artifacts.read_records(mixture(phase), Example), prompter)
    validation = _by_domain(artifacts.read_records(VALID, Example), prompter)

    compute.prepare(stage.runtime)
    accelerator = Accelerator(mixed_precision="bf16" if arithmetic.precision == "bf16" else "no")
    model = compute.load(folder, arithmetic)
    if previous:
        model = adapt.load(model, Path("models", previous), identity, trainable=True)
    else:
        model = adapt.create(model, adapter, stage.runtime.seed)
    if options.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    progress = fit.fit(
        model.train(),
        options,
        rows,
        validation,
        accelerator=accelerator,
        pad=prompter.tokenizer.pad,
        seed=stage.runtime.seed,
        scratch=stage.run.scratch,
        log=stage.run.metrics,
    )
    if accelerator.is_main_process:
        _write(stage, phase, identity, model, progress)


def _refuse_early(params: config.Params, arithmetic: compute.Options, adapter: Any, prompting: prompts.Options) -> None:
    """Raise for what would stop this phase or another one, before hours are spent on training the first."""
    phases = params.all(Options)
    for name, options in phases.items():
        objective.build(options.terms, f"params.yaml: {name}.terms")
    shape, there = artifacts.read_json(BASE)["config"], memory.available()
    for name, options in phases.items():
        memory.require(name, memory.for_phase(shape, arithmetic, adapter, prompting, options), there)


def _by_domain(examples: list[Example], prompter: prompts.Prompter) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for example in examples:
        found[example.domain].append(example)
    return {domain: batches.rows(found[domain], prompter) for domain in sorted(found)}


def _write(stage: Stage, phase: str, identity: str, model: object, progress: Progress) -> None:
    adapt.save(model, Path("models", phase), identity)
    stage.run.artifacts(Path("models", phase))
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
    }
    artifacts.write_json(Path("metrics", f"train_{phase}.json"), summary)
    columns = sorted({key for row in progress.curve for key in row} - {"step"})
    lines = [",".join(["step", *columns])]
    lines += [",".join([str(row["step"]), *(str(row.get(key, "")) for key in columns)]) for row in progress.curve]
    artifacts.write_text(Path("metrics/curves", f"train_{phase}.csv"), "\n".join(lines) + "\n")
