"""One phase of training, watched: validate, keep the best, checkpoint, and stop when too much is not finite.

The loop yields; this is who iterates.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from breviary.data import batches
from breviary.data.batches import Batch, Row
from breviary.errors import TrainingError
from breviary.learn import checkpoint, loop, objective
from breviary.learn.checkpoint import Progress
from breviary.learn.curriculum import Options
from breviary.model import adapt, optimizer

Log = Callable[[dict[str, float], int], None]  # values and the step that they belong to


def fit(
    model: Any,
    options: Options,
    rows: Sequence[Row],
    validation: Mapping[str, Sequence[Row]],
    *,
    accelerator: Accelerator,
    pad: int,
    seed: int,
    scratch: Path,
    log: Log,
) -> Progress:
    """Train the adapter of `model` on `rows`, and leave in it the weights that `options.keep` asks for."""
    if not validation:
        raise TrainingError("there is not one example to validate on; see chunk.split.valid and metrics/mix.json")
    weights = adapt.trainable(model)
    plan = batches.steps(rows, epochs=options.epochs, batch=options.batch, seed=seed)
    adam = _optimizer(weights, options)
    prepared, prepared_adam = accelerator.prepare(model, adam)
    progress = checkpoint.restore(scratch, weights, adam)
    validate = partial(_validate, progress, prepared, validation, weights, options.micro_batch, pad, accelerator, log)
    if progress.step == 0:
        validate()
    measured = loop.train(
        prepared,
        objective.build(options.terms),
        prepared_adam,
        optimizer.schedule(options.schedule.kind, len(plan), options.schedule.warmup_share),
        _seeded(plan[progress.step :], progress.step, options.micro_batch, pad, seed + accelerator.process_index),
        accelerator=accelerator,
        max_grad_norm=options.max_grad_norm,
        first_step=progress.step,
    )
    bar = tqdm(total=len(plan), initial=progress.step, unit="step", disable=None)
    for done, seconds in _timed(measured):
        _note(done, seconds, progress, options.max_nonfinite_share, len(plan), log)
        bar.set_postfix(loss=f"{done.terms['cross_entropy']:.3f}", refresh=False)
        bar.update()
        if progress.step % options.validate_every == 0 or progress.step == len(plan):
            validate()
        if progress.step % options.checkpoint_every == 0 and accelerator.is_main_process:
            checkpoint.save(scratch, progress, weights, adam)
    if options.keep == "best":
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(progress.best[name])
    return progress


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


def _note(done: loop.Measured, seconds: float, progress: Progress, limit: float, steps: int, log: Log) -> None:
    """Record one step. Raises TrainingError when a term was not finite in more than `limit` of all steps."""
    progress.step = done.step + 1
    values = {f"loss/{name}": value for name, value in done.terms.items()}
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


def _validate(
    progress: Progress,
    model: Any,
    validation: Mapping[str, Sequence[Row]],
    weights: Mapping[str, Tensor],
    micro_batch: int,
    pad: int,
    accelerator: Accelerator,
    log: Log,
) -> None:
    """Measure the validation loss by domain and over all, and keep the weights where it is the lowest yet."""
    losses = {
        f"valid/{domain}": loss(model, rows, micro_batch, pad, accelerator) for domain, rows in validation.items()
    }
    overall = sum(losses.values()) / len(losses)  # every domain counts the same, however many documents it has
    row = {"valid/mean": overall, **losses}
    if progress.curve and progress.curve[-1]["step"] == progress.step:
        progress.curve[-1].update(_shown(row))
    else:
        progress.curve.append({"step": progress.step, **_shown(row)})
    log(row, progress.step)
    if not math.isfinite(overall):
        broken = ", ".join(name.removeprefix("valid/") for name, value in losses.items() if not math.isfinite(value))
        raise TrainingError(f"the validation loss of {broken} is not finite after {progress.step} steps")
    if overall < progress.best_loss:
        progress.best_loss, progress.best_step = overall, progress.step
        progress.best = {name: weight.detach().cpu().clone() for name, weight in weights.items()}


@torch.no_grad()
def loss(model: Any, rows: Sequence[Row], micro_batch: int, pad: int, accelerator: Accelerator) -> float:
    """Mean cross-entropy over all target tokens of `rows`, in nats a token, dropout off."""
    was_training = model.training
    model.eval()
    summed, tokens = 0.0, 0
    for batch in batches.micro_batches(rows, micro_batch, pad):
        step = loop.forward(model, batch.to(accelerator.device))
        summed += float(torch.nn.functional.cross_entropy(step.logits, step.targets, reduction="sum"))
        tokens += batch.target_tokens
    model.train(was_training)
    return summed / tokens
