"""Where a phase stands, on disk, so that a killed run goes on as if nothing had happened.

A checkpoint is a folder `step-<n>` with tensors (safetensors), plain numbers (JSON) and the sha256 of both; no pickle.
A new one appears whole before the old ones are deleted. It lies outside DVC's outputs, under a name that depends on
params, inputs and code (`tracking.Run.scratch`), so that a changed phase never resumes from an old one.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from breviary import artifacts
from breviary.errors import ArtifactError

NUMBERS, TENSORS = "numbers.json", "tensors.safetensors"


@dataclass
class Progress:
    """How far a phase has come. The one mutable record of a training run."""

    step: int = 0  # optimiser steps taken
    best_loss: float = float("inf")  # nats a token on the validation set
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)  # weights at best_step, on the CPU
    curve: list[dict[str, int | float]] = field(default_factory=list)  # one row a step, what the metrics file shows
    dropped: dict[str, int] = field(default_factory=dict)  # terms that were not finite: in how many steps
    reports: dict[str, dict[str, float]] = field(default_factory=dict)  # what terms and constraints say: before, after


def save(folder: Path, progress: Progress, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Write `folder/step-<n>` and delete older ones."""
    numbers = {key: value for key, value in asdict(progress).items() if key != "best"}
    tensors = {f"weight/{name}": weight.detach() for name, weight in weights.items()}
    tensors |= {f"best/{name}": weight for name, weight in progress.best.items()}
    numbers["optimizer"] = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in _flat(state):
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value
            else:
                numbers["optimizer"].setdefault(str(index), {})[key] = value
    with artifacts.atomic(folder / f"step-{progress.step}") as temporary:
        temporary.mkdir()
        held = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(held, temporary / TENSORS)
        artifacts.write_json(temporary / NUMBERS, numbers | {"best_loss": _finite(progress.best_loss)})
        artifacts.seal(temporary, (NUMBERS, TENSORS))
    for old in _all(folder)[:-1]:
        shutil.rmtree(old)


def restore(folder: Path, weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> Progress:
    """Put the newest checkpoint of `folder` into `weights` and `optimizer`; a fresh Progress if there is none."""
    found = _all(folder)
    if not found:
        return Progress()
    artifacts.require_sealed(found[-1], f"delete {found[-1]} to start the phase afresh")
    numbers = artifacts.read_json(found[-1] / NUMBERS)
    tensors = load_file(found[-1] / TENSORS)
    part = lambda prefix: {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}  # noqa: E731
    saved = part("weight/")
    if {name: t.shape for name, t in saved.items()} != {name: t.shape for name, t in weights.items()}:
        raise ArtifactError(f"{found[-1]}: holds other weights than this adapter; delete it to start the phase afresh")
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(saved[name])
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in numbers.pop("optimizer").items()}
    for name, tensor in part("optimizer/").items():
        index, key = name.split("/", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    best_loss = float("inf") if numbers["best_loss"] is None else numbers["best_loss"]
    return Progress(**numbers | {"best_loss": best_loss}, best=part("best/"))


def _flat(state: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The entries of one weight's state. bitsandbytes puts its own one level deeper, and reads them flat as well."""
    nested = [entry for value in state.values() if isinstance(value, dict) for entry in value.items()]
    return sorted([*nested, *((key, value) for key, value in state.items() if not isinstance(value, dict))])


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))


def _finite(value: float) -> float | None:
    return value if value != float("inf") else None
