"""The same backbone without a block of its layers, healed by what it learns from its teacher.

Where the block begins is chosen by the validation loss without it, before any healing; candidates lie every `every`
layers (the search reads the validation examples once for each). The student starts with the teacher's adapter on the
layers that stay, where the teacher has one on this backbone.
"""

from typing import Any, Literal

from pydantic import Field
from tqdm import tqdm

from breviary import config
from breviary.errors import ConfigError
from breviary.model import adapt, depth, resolve
from breviary.model.student import Ground, Student


class Options(config.Options):
    """How many layers stay, and how the block that goes is found."""

    kind: Literal["pruned"]
    layers: int = Field(ge=1)  # that stay
    start: int | None = Field(default=None, ge=0)  # the first layer left out; null: chosen by validation loss
    every: int = Field(default=4, ge=1)  # layers between two candidates


def build(options: Options, ground: Ground) -> Student:
    """The pruned student. Raises ConfigError where the backbone has no more layers than are to stay."""
    whole = ground.backbone()
    layers = len(depth.stack(whole))
    count = layers - options.layers
    if count < 1:
        raise ConfigError(
            f"distill.student.layers: the backbone has {layers} layers, so that {options.layers} leave none out; "
            f"write less than {layers}"
        )
    adapted = _adapted(whole, ground)
    losses: dict[int, float] = {}
    if options.start is None:
        losses = {start: _without(adapted, start, count, ground) for start in _shown(layers, count, options.every)}
    start = min(losses, key=lambda each: (losses[each], each)) if options.start is None else options.start
    return Student(depth.cut(adapted, start, count), layers, list(range(start, start + count)), losses)


def _adapted(model: Any, ground: Ground) -> Any:
    if ground.teacher is None:
        return adapt.create(model, ground.adapter, ground.seed)
    return adapt.load(model, ground.teacher, resolve.identity(ground.record), trainable=True)


def _shown(layers: int, count: int, every: int) -> Any:
    return tqdm(depth.candidates(layers, count, every), desc="choose layers", unit="blocks", disable=None)


def _without(model: Any, start: int, count: int, ground: Ground) -> float:
    """The loss with these layers left out; they are put back."""
    with depth.left_out(model, start, count):
        return ground.loss(model)
