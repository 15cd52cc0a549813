"""What a phase starts from: where its files are, the prompt, and the model with its adapter."""

from pathlib import Path
from typing import Any

from breviary import config
from breviary.data import prompts, tokens
from breviary.data.prompts import Prompter
from breviary.model import adapt, chat, compute, determinism, resolve
from breviary.stage import Stage

BASE = Path("models/base.json")
SECTIONS = ("runtime", "compute", "adapter", "prompt")


def adapter(phase: str) -> Path:
    """The adapter that `phase` leaves."""
    return Path("models", phase)


def mixture(phase: str) -> Path:
    """The training examples of `phase`."""
    return Path("data/mixtures", f"{phase}.jsonl")


def prompter(stage: Stage) -> Prompter:
    """The prompt as params.yaml describes it, for this backbone."""
    options = stage.params.section("prompt", prompts.Options)
    return prompts.build(options, tokens.load(resolve.folder(BASE)), resolve.window(BASE), chat.frame)


def model(stage: Stage, previous: str | None) -> Any:
    """The backbone with the adapter of phase `previous` to go on from, or with a fresh one."""
    loaded = compute.load(resolve.folder(BASE), stage.params.section("compute", compute.Options))
    if previous:
        return adapt.load(loaded, adapter(previous), resolve.identity(BASE), trainable=True)
    return adapt.create(loaded, stage.params.section("adapter", config.Options), stage.runtime.seed)


def accelerator(stage: Stage) -> Any:
    """accelerate's view of the processes: of this one, or of all that were launched together.

    Without a GPU it has to be told so: else each process of a launch would train alone, and none would say it.
    """
    import torch
    from accelerate import Accelerator

    arithmetic = stage.params.section("compute", compute.Options)
    made = Accelerator(
        mixed_precision="bf16" if arithmetic.precision == "bf16" else "no", cpu=not torch.cuda.is_available()
    )
    phase = getattr(stage.params.section(stage.name, config.Options), "optimizer", None)
    level = determinism.of(
        stage.runtime,
        quantisation=arithmetic.quantisation,
        optimizer=phase.kind if phase else "adamw",
        processes=made.num_processes,
    )
    stage.run.tags(level.tags())
    return made
