"""The student's training, from lessons to its adapter: the loop, checkpoints and terms of a phase of the curriculum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from breviary import artifacts, config
from breviary.data import batches, prompts
from breviary.data.batches import Row
from breviary.data.prompts import Prompter
from breviary.learn import fit, lessons, objective, start, validation
from breviary.learn.checkpoint import Progress
from breviary.learn.distilling import Options
from breviary.learn.forward import forward
from breviary.learn.lessons import Lesson
from breviary.learn.objective import Given, Objective
from breviary.learn.terms import distillation
from breviary.model import adapt, compute, memory, resolve, resources
from breviary.model import student as students
from breviary.model.student import Ground, Student
from breviary.stage import Stage


@dataclass(frozen=True)
class Studied:
    """What came of it."""

    student: Student
    progress: Progress
    divergence: dict[str, float]  # from the teacher in nats a target, "before" and "after"; empty without expectations


def run(
    stage: Stage, options: Options, learnt: Sequence[Lesson], prompter: Prompter, record: Path, teacher: Path | None
) -> Studied:
    """Make the student of `options` on the backbone of `record`, and teach it `learnt`.

    `teacher` is the teacher's adapter, where it stands on the same backbone. Raises ResourceError before anything is
    loaded where memory will not do.
    """
    phase = options.phase()
    require_memory(stage.params, options, record)
    rows = lessons.rows(learnt)
    watched = validation.rows(prompter)
    compute.prepare(stage.runtime)
    accelerator = start.accelerator(stage)
    student = _student(stage, options, prompter, record, teacher, accelerator)
    model = student.model.to(accelerator.device)
    if phase.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    share = options.retrieval.dropout if options.retrieval else 0.0
    probe, pad = rows[: options.measured] if options.logits else [], prompter.tokenizer.pad
    divergence = _measured("before", model, probe, options, pad)
    progress = fit.fit(
        model.train(),
        phase,
        rows,
        watched,
        objective=_objective(stage, phase.terms, model, accelerator, pad),
        constraints={},
        accelerator=accelerator,
        pad=pad,
        seed=stage.runtime.seed,
        scratch=stage.run.scratch,
        log=stage.run.metrics,
        shown=lessons.dropped(learnt, share, stage.runtime.seed),
    )
    return Studied(student, progress, divergence | _measured("after", model, probe, options, pad))


def require_memory(params: config.Params, options: Options, record: Path) -> None:
    """Raise ResourceError where training on all layers of the backbone of `record` needs more memory than there is."""
    needed = memory.for_phase(
        artifacts.read_json(record)["config"],
        params.section("compute", compute.Options),
        params.section("adapter", config.Options),
        params.section("prompt", prompts.Options),
        options.phase(),
    )
    resources.require("distill", needed, resources.available())


@torch.no_grad()
def divergence(model: Any, rows: Sequence[Row], *, temperature: float, micro_batch: int, pad: int) -> float:
    """Mean KL(teacher || model) over all targets of `rows`, in nats a target, at `temperature`; dropout off."""
    was_training = model.training
    model.eval()
    summed, targets = 0.0, 0
    for batch in batches.micro_batches(rows, micro_batch, pad):
        step = forward(model, batch.to(model.device))
        assert step.taught is not None
        each = distillation.divergence(step.logits, step.taught.ids, step.taught.log_p, temperature)
        summed, targets = summed + float(each.sum()), targets + len(each)
    model.train(was_training)
    return summed / targets


def _measured(when: str, model: Any, rows: Sequence[Row], options: Options, pad: int) -> dict[str, float]:
    if not rows or options.logits is None:
        return {}
    found = divergence(model, rows, temperature=options.logits.temperature, micro_batch=options.micro_batch, pad=pad)
    return {when: round(found, 4)}


def _student(
    stage: Stage, options: Options, prompter: Prompter, record: Path, teacher: Path | None, accelerator: Accelerator
) -> Student:
    judged = validation.rows(prompter, options.search_examples)

    def loss(model: Any) -> float:
        size, pad = options.micro_batch, prompter.tokenizer.pad
        found = [fit.loss(model, rows, size, pad, accelerator) for rows in judged.values()]
        return sum(found) / len(found)

    ground = Ground(
        record=record,
        backbone=lambda: compute.load(resolve.folder(record), stage.params.section("compute", compute.Options)),
        adapter=stage.params.section("adapter", config.Options),
        teacher=teacher,
        loss=loss,
        seed=stage.runtime.seed,
    )
    return students.build(options.student, ground)


def _objective(
    stage: Stage, terms: Mapping[str, Mapping[str, Any]], model: Any, accelerator: Accelerator, pad: int
) -> Objective:
    """Terms of logits alone: there is no phase before to hold to, and no pair to compare."""

    def nothing(*_: Any) -> Any:
        raise AssertionError("distill has neither an anchor nor pairs")

    given = Given(
        weights=adapt.trainable(model),
        width=model.config.hidden_size,
        pad=pad,
        accelerator=accelerator,
        seed=stage.runtime.seed,
        anchor=nothing,
        twins=nothing,
    )
    return objective.build(terms, given, "distill.terms")
