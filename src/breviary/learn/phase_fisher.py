"""What a finished phase leaves for the phases after it, from files to files: its adapter in, an anchor out."""

import random
from collections.abc import Sequence
from pathlib import Path

from breviary import artifacts, config
from breviary.data import batches, prompts
from breviary.learn import anchors, fisher, measuring, start
from breviary.learn.anchors import Anchor
from breviary.learn.measuring import Options
from breviary.learn.start import BASE, adapter, mixture
from breviary.model import adapt, compute, memory, resources
from breviary.records import Example
from breviary.stage import Stage


def reads(phase: str, previous: str | None) -> list[Path]:
    """The files that measuring `phase` depends on."""
    return [BASE, mixture(phase), adapter(phase), *([anchors.folder(previous)] if previous else [])]


def run(stage: Stage, phase: str, previous: str | None) -> None:
    """Measure the Fisher of the adapter that `phase` left, and write it with the weights as the phase's anchor.

    Where an earlier phase has an anchor, both are merged as the options say.
    """
    options = stage.params.section(stage.name, Options)
    measuring.check(stage.everything.all(Options))
    _refuse_early(stage, options)
    prompter = start.prompter(stage)
    drawn = sample(artifacts.read_records(mixture(phase), Example), options.examples, f"{stage.runtime.seed} {phase}")
    rows = batches.rows(drawn, prompter)
    compute.prepare(stage.runtime)
    accelerator = start.accelerator(stage)
    model = start.model(stage, phase)
    if options.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    weights = adapt.trainable(model.train())
    earlier = anchors.load(anchors.folder(previous), weights) if previous and options.merge != "none" else None
    found = fisher.diagonal(
        model,
        rows,
        weights,
        pad=prompter.tokenizer.pad,
        accelerator=accelerator,
        max_nonfinite_share=options.max_nonfinite_share,
    )
    if accelerator.is_main_process:
        normalised, factor = fisher.normalise(found.diagonal)
        anchor = Anchor({name: weight.detach() for name, weight in weights.items()}, normalised)
        if earlier:
            anchor = anchors.merge(earlier, anchor, options.merge, options.decay)
        _write(stage, phase, anchor, found, factor, options)


def sample(examples: Sequence[Example], count: int, seed: str) -> list[Example]:
    """At most `count` of `examples`, none of them twice, drawn from `seed`."""
    distinct = list({example.id: example for example in examples}.values())
    return random.Random(f"{seed} fisher").sample(distinct, min(count, len(distinct)))


def _refuse_early(stage: Stage, options: Options) -> None:
    """Raise ResourceError where the machine has not the memory; the sums take what an optimiser's state would."""
    adapting, prompting = (
        stage.params.section("adapter", config.Options),
        stage.params.section("prompt", prompts.Options),
    )
    arithmetic = stage.params.section("compute", compute.Options)
    needed = memory.training(
        memory.shape(artifacts.read_json(BASE)["config"]),
        precision=arithmetic.precision,
        quantisation=arithmetic.quantisation,
        rank=adapting.rank,  # pyright: ignore[reportAttributeAccessIssue]
        targets=adapting.targets,  # pyright: ignore[reportAttributeAccessIssue]
        optimizer="adamw",
        micro_batch=1,
        max_tokens=prompting.max_tokens,
        max_summary_tokens=prompting.max_summary_tokens,
        gradient_checkpointing=options.gradient_checkpointing,
    )
    resources.require(stage.name, needed, resources.available())


def _write(stage: Stage, phase: str, anchor: Anchor, found: fisher.Fisher, factor: float, options: Options) -> None:
    settings = {
        "examples": found.examples,
        "skipped": len(found.skipped),
        "skipped_examples": sorted(found.skipped),
        "factor": float(f"{factor:.6g}"),  # what this phase's Fisher was divided by: its mean
        "merge": options.merge,
    }
    folder = anchors.folder(phase)
    summary = anchors.save(anchor, folder, settings)
    artifacts.write_json(Path("metrics", f"fisher_{phase}.json"), summary)
    stage.run.artifacts(folder)
    values = {"examples": found.examples, "skipped": len(found.skipped), "factor": factor}
    stage.run.metrics(values | {f"fisher/{name}": value for name, value in summary["all"].items()})
