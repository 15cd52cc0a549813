"""One phase of training, watched: validate, keep the best, checkpoint, and stop when too much is not finite.

The loop yields; this is who iterates.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor
from tqdm import tqdm

from breviary.data import batches
from breviary.data.batches import Batch, Row
from breviary.errors import TrainingError
from breviary.learn import checkpoint, loop
from breviary.learn.checkpoint import Progress
from breviary.learn.constrained import Constraint
from breviary.learn.curriculum import Options
from breviary.learn.forward import forward
from breviary.learn.objective import Objective
from breviary.learn.surprise import surprise
from breviary.model import adapt, optimizer

Log = Callable[[dict[str, float], int], None]  # values and the step that they belong to


@dataclass(frozen=True)
class Course:
    """One phase under way: what is trained on, what is watched, and how far it has come."""

    model: Any  # as accelerate prepared it
    options: Options
    validation: Mapping[str, Sequence[Row]]  # by domain
    objective: Objective
    constraints: Mapping[str, Constraint]
    trained: Mapping[str, Tensor]  # the adapter's weights, and those of terms that have some
    accelerator: Accelerator
    pad: int
    log: Log
    progress: Progress


def fit(
    model: Any,
    options: Options,
    rows: Sequence[Row],
    validation: Mapping[str, Sequence[Row]],
    *,
    objective: Objective,
    constraints: Mapping[str, Constraint],
    accelerator: Accelerator,
    pad: int,
    seed: int,
    scratch: Path,
    log: Log,
    shown: Callable[[Row, int], Row] = batches.unchanged,
) -> Progress:
    """Train the adapter of `model` on `rows`, and leave in it the weights that `options.keep` asks for.

    `shown` is what an epoch makes of a row.
    """
    if not validation:
        raise TrainingError("there is not one example to validate on; see chunk.split.valid and metrics/mix.json")
    trained = adapt.trainable(model) | objective.trained
    kept = trained | objective.buffers
    plan = batches.steps(rows, epochs=options.epochs, batch=options.batch, seed=seed, shown=shown)
    adam = _optimizer(trained, options)
    prepared, prepared_adam = accelerator.prepare(model, adam)
    progress = checkpoint.restore(_shared(scratch), kept, adam)
    course = Course(prepared, options, validation, objective, constraints, trained, accelerator, pad, log, progress)
    if progress.step == 0:
        _begin(course)
    first = progress.step
    micro_batches = _seeded(plan[first:], first, options.micro_batch, pad, seed + accelerator.process_index)
    measured = _train(course, prepared_adam, len(plan), micro_batches)
    bar = tqdm(total=len(plan), initial=first, unit="step", disable=None)
    for done, seconds in _timed(measured):
        _note(course, done, seconds, len(plan))
        bar.set_postfix(loss=f"{done.terms['cross_entropy']:.3f}", refresh=False)
        bar.update()
        if progress.step % options.validate_every == 0 or progress.step == len(plan):
            _validate(course, _losses(course))
        if progress.step % options.checkpoint_every == 0 and accelerator.is_main_process:
            checkpoint.save(scratch, progress, kept, adam)
    _end(course)
    return progress


def _shared(scratch: Path) -> Path:
    """The folder of the main process, which may have found that of its key in use: all go on from the same step."""
    folders = [str(scratch)]
    broadcast_object_list(folders)
    return Path(folders[0])


def _train(
    course: Course, adam: torch.optim.Optimizer, steps: int, micro_batches: Iterator[list[Batch]]
) -> Iterator[loop.Measured]:
    schedule = course.options.schedule
    return loop.train(
        course.model,
        course.objective.terms,
        adam,
        optimizer.schedule(schedule.kind, steps, schedule.warmup_share),
        micro_batches,
        accelerator=course.accelerator,
        max_grad_norm=course.options.max_grad_norm,
        first_step=course.progress.step,
        wholes=course.objective.wholes,
        constraints=list(course.constraints.values()),
    )


def _begin(course: Course) -> None:
    """Measure the model as it came, bring it to where the constraints hold, and measure it again if that changed it."""
    losses = _losses(course)
    moved = [name for name, constraint in course.constraints.items() if constraint.start()]
    if moved:
        course.progress.reports["loss before projection"] = losses
        course.log({f"unprojected/{domain}": value for domain, value in losses.items()}, 0)
        losses = _losses(course)
    _validate(course, losses)
    _report(course, "before")


def _end(course: Course) -> None:
    """Leave the weights that were asked for, and say how terms and constraints stand with them."""
    if course.options.keep == "best":
        with torch.no_grad():
            for name, weight in course.trained.items():
                weight.copy_(course.progress.best[name])
    _report(course, "after")


def _report(course: Course, when: str) -> None:
    """What each term and constraint says of the weights as they are."""
    said = {name: whole.report(course.model) for name, whole in course.objective.wholes.items()}
    said |= {name: constraint.report() for name, constraint in course.constraints.items()}
    found = _shown({f"{name}/{key}": value for name, values in said.items() for key, value in values.items()})
    course.progress.reports[when] = found
    if found:
        course.log({f"{key}/{when}": value for key, value in found.items()}, course.progress.step)


def _optimizer(weights: Mapping[str, Tensor], options: Options) -> torch.optim.Optimizer:
    chosen = options.optimizer
    groups = optimizer.groups(weights, lr=chosen.lr, ratio=chosen.loraplus_ratio, weight_decay=chosen.weight_decay)
    return optimizer.create(chosen.kind, groups, (chosen.beta1, chosen.beta2))


def _timed(measured: Iterator[loop.Measured]) -> Iterator[tuple[loop.Measured, float]]:
    """Each step with the seconds that it took, without what is done between steps."""
    started = time.perf_counter()
    for done in measured:
        yield done, time.perf_counter() - started
        started = time.perf_counter()


def _seeded(plan: Sequence[list[Row]], first: int, size: int, pad: int, seed: int) -> Iterator[list[Batch]]:
    """The micro-batches of each step.

    Dropout draws from torch's own generator, so that it is set from the step's number: a resumed run draws what an
    uninterrupted one does, and validating in between changes nothing.
    """
    for number, rows in enumerate(plan, first):
        torch.manual_seed(seed * 1_000_003 + number)
        yield list(batches.micro_batches(rows, size, pad))


def _note(course: Course, done: loop.Measured, seconds: float, steps: int) -> None:
    """Record one step. Raises TrainingError when a term was not finite in more than the permitted share of steps."""
    progress, log, limit = course.progress, course.log, course.options.max_nonfinite_share
    progress.step = done.step + 1
    values = {f"loss/{name}": value for name, value in done.terms.items()}
    values |= {  # how much each term of the whole step weighs beside cross-entropy
        f"share/{name}": whole.weight * done.terms[name] / done.terms["cross_entropy"]
        for name, whole in course.objective.wholes.items()
    }
    values |= {"grad_norm": done.grad_norm} | {f"lr/{name}": value for name, value in done.lrs.items()}
    progress.curve.append({"step": progress.step, **_shown(values)})
    tokens = {"tokens": done.tokens, "target_tokens": done.target_tokens}
    speed = {f"{name}_per_second": count / seconds for name, count in tokens.items()}  # to MLflow, never to a file
    log(values | tokens | speed, progress.step)
    for name in done.dropped:
        progress.dropped[name] = progress.dropped.get(name, 0) + 1
        log({f"nonfinite/{name}": progress.dropped[name]}, progress.step)
        if progress.dropped[name] > limit * steps:
            raise TrainingError(
                f"'{name}' was not finite in {progress.dropped[name]} of {progress.step} steps "
                f"(max_nonfinite_share={limit}); the last time with examples {', '.join(done.examples)}"
            )


def _shown(values: Mapping[str, float]) -> dict[str, float]:
    """What the curve keeps: JSON has no NaN, and a value that was not finite is a gap in a curve."""
    return {key: round(value, 8) for key, value in values.items() if math.isfinite(value)}


def _losses(course: Course) -> dict[str, float]:
    """The validation loss of each domain, in nats a token."""
    size, pad, accelerator = course.options.micro_batch, course.pad, course.accelerator
    return {domain: loss(course.model, rows, size, pad, accelerator) for domain, rows in course.validation.items()}


def _validate(course: Course, losses: Mapping[str, float]) -> None:
    """Note the validation losses, and keep the weights where their mean is the lowest yet."""
    progress = course.progress
    overall = sum(losses.values()) / len(losses)  # every domain counts the same, however many documents it has
    row = {"valid/mean": overall, **{f"valid/{domain}": value for domain, value in losses.items()}}
    if progress.curve and progress.curve[-1]["step"] == progress.step:
        progress.curve[-1].update(_shown(row))
    else:
        progress.curve.append({"step": progress.step, **_shown(row)})
    course.log(row, progress.step)
    if not math.isfinite(overall):
        broken = ", ".join(domain for domain, value in losses.items() if not math.isfinite(value))
        raise TrainingError(f"the validation loss of {broken} is not finite after {progress.step} steps")
    if overall < progress.best_loss:
        progress.best_loss, progress.best_step = overall, progress.step
        progress.best = {name: weight.detach().cpu().clone() for name, weight in course.trained.items()}


@torch.no_grad()
def loss(model: Any, rows: Sequence[Row], micro_batch: int, pad: int, accelerator: Accelerator) -> float:
    """Mean cross-entropy over all target tokens of `rows`, in nats a token, dropout off."""
    was_training = model.training
    model.eval()
    summed, tokens = 0.0, 0
    for batch in batches.micro_batches(rows, micro_batch, pad):
        step = forward(model, batch.to(accelerator.device))
        summed += float(surprise(step.logits, step.targets).sum())
        tokens += batch.target_tokens
    model.train(was_training)
    return summed / tokens
