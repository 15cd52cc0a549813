"""The layers that an adapter sits on: the frozen weight as it is used, and the two factors of its update.

    W x + scaling * B A x        W (out, in), B (out, rank), A (rank, in), in this order whatever the layer keeps

A quantised weight is given dequantised (`frozen.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from breviary import artifacts
from breviary.errors import ArtifactError, ModelError
from breviary.model import adapt, frozen

A, B = ".lora_A.", ".lora_B."


@dataclass(frozen=True)
class Update:
    """What an adapter adds to one weight: scaling * B A."""

    a: Float[Tensor, "rank in"]
    b: Float[Tensor, "out rank"]
    scaling: float

    @property
    def size(self) -> tuple[int, int, int]:
        """(out, in, rank)."""
        return self.b.shape[0], self.a.shape[1], self.a.shape[0]


@dataclass(frozen=True)
class Layer:
    """One adapted layer of a model that is loaded."""

    update: Update
    weight: Callable[[], Float[Tensor, "out in"]]  # dequantised when asked for, in fp32 or wider


def pairs(names: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """The names of A and B, by the module that they belong to, among those of an adapter's weights (`adapt.trainable`).

    Raises ModelError if there is none, or one without the other.
    """
    found = {name.split(A)[0]: (name, name.replace(A, B)) for name in sorted(names) if A in name}
    alone = [b for _, b in found.values() if b not in names]
    if alone or not found:
        wanted = f"{', '.join(alone[:3])} missing" if alone else "no lora_A"
        raise ModelError(f"{wanted} among the adapter's weights: {', '.join(sorted(names)[:3])}, ...")
    return found


def layers(model: Any) -> dict[str, Layer]:
    """The adapted layers of a PEFT model, by the name of the module."""
    from peft.tuners.lora import LoraLayer

    weights = dict(model.named_parameters())
    modules = dict(model.named_modules())
    found = {}
    for module, (a, b) in pairs(weights).items():
        layer, adapter = modules[module], a.split(A)[1].removesuffix(".weight")
        if not isinstance(layer, LoraLayer):
            raise ModelError(f"{module}: a {type(layer).__name__}, which is no layer with a low-rank update")
        update = Update(weights[a].detach(), weights[b].detach(), float(layer.scaling[adapter]))
        found[module] = Layer(update, partial(_weight, layer, update.size))
    return found


def _weight(layer: Any, size: tuple[int, int, int]) -> Float[Tensor, "out in"]:
    weight = frozen.weight(layer)
    if weight.shape != size[:2]:
        raise ModelError(f"a weight of {tuple(weight.shape)} under an update of {size[:2]}: unknown kind of layer")
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))


def stored(folder: Path, identity: str) -> dict[str, Update]:
    """The updates of the adapter in `folder`, by the same names; no backbone is loaded.

    Raises ArtifactError if it is damaged, ModelError if it was trained on other weights than `identity`.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    adapt.require_bound(folder, identity)
    settings = artifacts.read_json(folder / "adapter_config.json")
    try:
        weights = load_file(folder / "adapter_model.safetensors")
        if settings["peft_type"] != "LORA" or settings["rank_pattern"] or settings["alpha_pattern"]:
            raise ModelError(f"{folder}: only adapters of kind lora with one rank and one alpha have such updates")
        rank = settings["r"] ** 0.5 if settings["use_rslora"] else settings["r"]
        scaling = float(settings["lora_alpha"] / rank)
    except (SafetensorError, OSError, KeyError, TypeError, ArithmeticError) as error:
        remedy = "delete it and run the stage that writes it"
        raise ArtifactError(f"{folder}: damaged adapter ({type(error).__name__}: {error}); {remedy}") from None
    return {module: Update(weights[a], weights[b], scaling) for module, (a, b) in pairs(weights).items()}
