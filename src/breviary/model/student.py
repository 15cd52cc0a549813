"""What a student is made from, and what comes of it; each kind of student is a file in `students/`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breviary import artifacts, catalogue
from breviary.model import adapt, depth, resolve

STUDENTS = "breviary.model.students"
RECORD = "base.json"  # beside the adapter of a student whose backbone is not the project's


@dataclass(frozen=True)
class Ground:
    """What a kind of student may build on."""

    record: Path  # of the student's backbone
    backbone: Callable[[], Any]  # that backbone, loaded and frozen
    adapter: Any  # the options of section `adapter`
    teacher: Path | None  # the teacher's adapter, where teacher and student stand on one backbone
    loss: Callable[[Any], float]  # of a model on a few validation examples, in nats a token
    seed: int


@dataclass(frozen=True)
class Student:
    """A model whose adapter is ready to be trained."""

    model: Any
    layers: int  # of the backbone
    removed: list[int] = field(default_factory=list)  # of these layers
    candidates: Mapping[int, float] = field(default_factory=dict)  # validation loss by the first layer left out


def build(options: Any, ground: Ground) -> Student:
    """The student that `options` describes."""
    return catalogue.resolve(STUDENTS, options.kind).build(options, ground)


def save(student: Student, folder: Path, record: Path, own: Path) -> None:
    """Write the adapter, what it leaves out of the backbone of `record`, and that record where it is not `own`."""
    adapt.save(student.model, folder, resolve.identity(record))
    if student.removed:
        depth.save(folder, student.layers, student.removed)
    if record != own:
        artifacts.write_json(folder / RECORD, artifacts.read_json(record))


def parameters(model: Any) -> dict[str, int]:
    """How many weights a model has, shared ones counted once, and how many of them belong to its adapter."""
    counted = {name: _size(weight) for name, weight in model.named_parameters()}
    return {"all": sum(counted.values()), "adapter": sum(size for name, size in counted.items() if ".lora_" in name)}


def _size(weight: Any) -> int:
    """How many weights a parameter holds: of four bits each there are two to a byte, and it knows what it was."""
    state = getattr(weight, "quant_state", None)
    return math.prod(state.shape) if state is not None else weight.numel()
