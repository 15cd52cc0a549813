"""Where a phase left the adapter's weights, and how much each of them matters to what was learned until then.

Several phases become one quadratic sum_i F_i (w_i - a_i)^2 in one of two ways:

    sum     F = F1 + F2, a = (F1 a1 + F2 a2) / F      the sum of both quadratics, up to a constant
    online  F = decay F1 + F2, a = a2                 Schwarz et al. 2018, arXiv:1805.06370

Each phase's Fisher is divided by its own mean before (`fisher.normalise`) and never after: so both phases weigh the
same however long their summaries are, and a sum of two has the mean 2, one penalty's worth for each of them.

    anchor.safetensors  fisher/<name> and weights/<name>, fp32
    fisher.json         how it was measured, and how large it is by part of the adapter
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from breviary import artifacts
from breviary.errors import ArtifactError, ConfigError

TENSORS, SUMMARY = "anchor.safetensors", "fisher.json"
REMEDY = "delete the folder and run the fisher stage that writes it"


@dataclass(frozen=True)
class Anchor:
    """The quadratic that stands for earlier phases: sum_i fisher_i (w_i - weights_i)^2, by the adapter's own names."""

    weights: Mapping[str, Tensor]  # fp32
    fisher: Mapping[str, Tensor]  # fp32, not negative


def folder(phase: str | None) -> Path:
    """Where the anchor of `phase` lies. Raises ConfigError where there is no such phase."""
    if phase is None:
        raise ConfigError(
            "ewc has no anchor: no phase comes before this one, and so none whose weights could be kept; "
            "drop `ewc` from its terms"
        )
    return Path("models", f"{phase}_anchor")


def merge(old: Anchor, new: Anchor, how: Literal["none", "online", "sum"], decay: float) -> Anchor:
    """One quadratic for both. `none` is `new` alone; `decay` is of the old Fisher, for `online`."""
    require_same(old, new.weights, "the earlier anchor")
    if how == "none":
        return new
    if how == "online":
        return Anchor(new.weights, {name: decay * old.fisher[name] + found for name, found in new.fisher.items()})
    fisher = {name: old.fisher[name] + found for name, found in new.fisher.items()}
    weights = {}
    for name, total in fisher.items():
        share = old.fisher[name] / torch.where(total > 0, total, 1)  # 0 where neither phase cares: the newer weight
        weights[name] = torch.lerp(new.weights[name], old.weights[name], share)
    return Anchor(weights, fisher)


def save(anchor: Anchor, folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Write `anchor` to `folder`, and return what its `fisher.json` says: `settings`, and the size of the Fisher."""
    parts = (("fisher", anchor.fisher), ("weights", anchor.weights))
    tensors = {
        f"{part}/{name}": tensor.detach().to("cpu", torch.float32).contiguous().clone()
        for part, named in parts
        for name, tensor in named.items()
    }
    summary = {**settings, **_summary(anchor.fisher)}
    with artifacts.atomic(folder) as temporary:
        temporary.mkdir()
        save_file(tensors, temporary / TENSORS)
        (temporary / TENSORS).chmod(0o644)
        artifacts.write_json(temporary / SUMMARY, summary)
    return summary


def load(folder: Path, weights: Mapping[str, Tensor]) -> Anchor:
    """The anchor of `folder`, beside the adapter's `weights` on their device.

    Raises ArtifactError where it is missing, damaged, of another adapter, or no Fisher.
    """
    if not (folder / TENSORS).is_file():
        raise ArtifactError(
            f"{folder / TENSORS}: missing; run `dvc repro`, which writes it, or drop `ewc` from the terms of this phase"
        )
    try:
        tensors = load_file(folder / TENSORS)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{folder / TENSORS}: damaged ({error}); {REMEDY}") from None
    device = next(iter(weights.values())).device
    found: dict[str, dict[str, Tensor]] = {"fisher": {}, "weights": {}}
    for key in sorted(tensors):
        part, _, name = key.partition("/")
        found.setdefault(part, {})[name] = tensors[key].to(device)
    anchor = Anchor(found["weights"], found["fisher"])
    require_same(anchor, weights, str(folder))
    _require_fisher(anchor, folder)
    return anchor


def require_same(anchor: Anchor, weights: Mapping[str, Tensor], where: str) -> None:
    """Raise ArtifactError unless both halves of `anchor` have the names and shapes of the adapter's `weights`."""
    problems = []
    for part, held in (("Fisher", anchor.fisher), ("weights", anchor.weights)):
        shared = sorted(held.keys() & weights.keys())
        differ = [name for name in shared if held[name].shape != weights[name].shape]
        shapes = [f"{name} {list(held[name].shape)} for {list(weights[name].shape)}" for name in differ]
        for names, what in (
            (sorted(weights.keys() - held.keys()), "missing"),
            (sorted(held.keys() - weights.keys()), "of no such weight"),
            (shapes, "of another shape"),
        ):
            if names:
                problems.append(f"{part}: {len(names)} {what}: {_first(names)}")
    if problems:
        raise ArtifactError(
            "\n".join(
                [
                    f"{where}: does not belong to this adapter, which has {_first(sorted(weights))}",
                    *problems,
                    "run `dvc repro`, which measures the adapter that is there, or set `adapter` in params.yaml back",
                ]
            )
        )


def _first(names: list[str]) -> str:
    return ", ".join([*names[:3], *(["..."] if len(names) > 3 else [])])


def _require_fisher(anchor: Anchor, folder: Path) -> None:
    problems = []
    for name, values in anchor.fisher.items():
        if not (bool(values.isfinite().all()) and bool(anchor.weights[name].isfinite().all())):
            problems.append(f"{name} is not finite")
        elif bool((values < 0).any()):
            problems.append(f"the Fisher of {name} is negative")
    if not problems and not any(bool(values.any()) for values in anchor.fisher.values()):
        problems = [f"the Fisher of all {len(anchor.fisher)} weights is zero"]
    if problems:
        raise ArtifactError(f"{folder / TENSORS}: {_first(problems)}; {REMEDY}")


def _summary(fisher: Mapping[str, Tensor]) -> dict[str, Any]:
    """Mean, maximum and share that is not zero: of all, by matrix (lora_A, lora_B) and by layer (q_proj, ...)."""
    matrices, layers = defaultdict(list), defaultdict(list)
    for name in sorted(fisher):
        found = re.search(r"(\w+)\.(lora_\w+)\.", name)
        layer, matrix = found.groups() if found else (name.split(".")[-1], "other")
        layers[layer].append(fisher[name])
        matrices[matrix].append(fisher[name])
    return {
        "all": _size(fisher.values()),
        "matrices": {name: _size(matrices[name]) for name in sorted(matrices)},
        "layers": {name: _size(layers[name]) for name in sorted(layers)},
    }


def _size(tensors: Iterable[Tensor]) -> dict[str, float]:
    flat = [tensor.detach().flatten() for tensor in tensors]
    count = sum(len(each) for each in flat)
    mean = sum(float(each.sum(dtype=torch.float64)) for each in flat) / count
    nonzero = sum(int(each.count_nonzero()) for each in flat) / count
    sizes = {"mean": mean, "max": max(float(each.max()) for each in flat), "nonzero": nonzero}
    return {name: float(f"{value:.6g}") for name, value in sizes.items()}
