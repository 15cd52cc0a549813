"""Put the fused arithmetic of `lowrank.py` under the adapters of a PEFT model, wherever it computes the same.

PEFT keeps the weights, their names and their files; what changes is how three kinds of module compute:

    an adapted layer                 y = W x + s B A d(x) in one step
    a gated perceptron (SwiGLU)      gate and up together, and their product not kept
    a root-mean-square norm          no fp32 copies kept (`norm.py`)

Nothing is trusted by its name. The first module of each kind is tried on a probe, and all of that kind are left to PEFT
where the answer differs or there is none: another adapter than plain LoRA, a layer of an unknown type, a new version
that does more. That is said once.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from breviary.model import frozen, lowrank, norm

log = logging.getLogger(__name__)

GATED = ("gate_proj", "up_proj", "down_proj")
ROWS = 3  # of a probe
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


@dataclass(frozen=True)
class Layer:
    """The forward pass of one adapted layer, in place of PEFT's own, which takes all but the plain case."""

    module: Any  # PEFT's, which the weights stay with
    own: Callable[..., Tensor]

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args or kwargs or not self.plain:
            return self.own(x, *args, **kwargs)
        return lowrank.apply(x, [self.frozen], [self.update], lowrank.drawn(self.rate))[0]

    @property
    def plain(self) -> bool:
        """One adapter that is switched on, is LoRA as published, and lies beside the weight, not in it."""
        module = self.module
        switched = not module.disable_adapters and not module.merged and len(module.active_adapters) == 1
        name = module.active_adapters[0] if switched else ""
        return name in module.lora_A and not module.lora_variant and not module.lora_bias[name]

    @property
    def rate(self) -> float:
        """That of the dropout as it stands: zero where it is switched off."""
        dropout = self.module.lora_dropout[self.module.active_adapters[0]]
        return dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0

    @property
    def update(self) -> lowrank.Update:
        """The factors that are trained."""
        name = self.module.active_adapters[0]
        return lowrank.Update(
            self.module.lora_A[name].weight, self.module.lora_B[name].weight, float(self.module.scaling[name])
        )

    @property
    def frozen(self) -> lowrank.Frozen:
        """The layer below."""
        return lowrank.Frozen(self.module.base_layer, lambda: frozen.weight(self.module))


@dataclass(frozen=True)
class Perceptron:
    """The forward pass of a gated perceptron whose three layers are adapted, in place of the model's own."""

    gate: Layer
    up: Layer
    down: Layer
    own: Callable[..., Tensor]

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        layers = (self.gate, self.up, self.down)
        if args or kwargs or not all(layer.plain for layer in layers):
            return self.own(x, *args, **kwargs)
        first, second, last = layers
        dropout = lowrank.drawn(first.rate)
        gate, up = lowrank.apply(x, [first.frozen, second.frozen], [first.update, second.update], dropout)
        return lowrank.apply_gated(gate, up, last.frozen, last.update, lowrank.drawn(last.rate))


@dataclass(frozen=True)
class Norm:
    """The forward pass of a root-mean-square norm, in place of the model's own."""

    module: Any
    own: Callable[..., Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        weight = self.module.weight
        return self.own(x) if weight.requires_grad else norm.apply(x, weight, self.module.variance_epsilon)


def install(model: Any) -> Any:
    """`model`, a PEFT model, with fused forward passes wherever they compute what its own do."""
    from peft.tuners.lora import LoraLayer

    verdicts: dict[Any, bool] = {}
    modules = dict(model.named_modules())
    layers: dict[str, Layer] = {
        name: Layer(module, cast(nn.Module, module).forward)
        for name, module in modules.items()
        if isinstance(module, LoraLayer) and hasattr(module.base_layer, "in_features")
    }
    for layer in layers.values():
        _replace(layer.module, layer, [layer], verdicts)
    for name, module in modules.items():
        inside = [layers[part] for part in (f"{name}.{each}" for each in GATED) if part in layers]
        if len(inside) == len(GATED) and all(layer.module.forward is layer for layer in inside):
            gate, up, down = inside
            _replace(module, Perceptron(gate, up, down, module.forward), inside, verdicts)
        if hasattr(module, "variance_epsilon") and hasattr(module, "weight"):
            _replace(module, Norm(module, module.forward), [], verdicts)
    return model


def _replace(module: Any, fused: Any, layers: Sequence[Layer], verdicts: dict[Any, bool]) -> None:
    """Let `module` compute by `fused`, if the first of its kind gave the same answer both ways."""
    kind = (type(module), *(type(layer.module.base_layer) for layer in layers))
    if kind not in verdicts:
        problem = _difference(module, fused, layers)
        verdicts[kind] = not problem
        if problem:
            log.warning("%s is not fused: %s", type(module).__name__, problem)
    if verdicts[kind]:
        module.forward = fused


@torch.no_grad()
def _difference(module: Any, fused: Any, layers: Sequence[Layer]) -> str:
    """How the answer of `fused` to a probe is not that of the module's own forward pass; empty if it is the same."""
    if not all(layer.plain for layer in layers):
        return "its adapter is not one plain LoRA"
    wide = layers[0].update.a.shape[1] if layers else len(module.weight)
    weight = next(each for each in module.parameters() if each.is_floating_point())
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(1, ROWS, wide, generator=generator).to(weight.device, weight.dtype)
    with _stirred(layers, generator):
        try:
            ours, theirs = fused(probe), fused.own(probe)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            return str(error)
    if ours.dtype != theirs.dtype:
        return f"it gives {theirs.dtype}, not {ours.dtype}"
    apart = float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())
    return "" if apart <= TOLERANCE[ours.dtype] else f"it differs by {apart:.1g} of the largest value"


@contextmanager
def _stirred(layers: Sequence[Layer], generator: torch.Generator) -> Iterator[None]:
    """Inside, the updates are not zero, as those of a fresh adapter are, and nothing is dropped."""
    kept = [(layer.update.b, layer.update.b.clone()) for layer in layers]
    modes = {module: module.training for layer in layers for module in layer.module.modules()}
    try:
        for module in modes:
            module.training = False
        for weight, _ in kept:
            weight.copy_(torch.randn(weight.shape, generator=generator))
        yield
    finally:
        for weight, value in kept:
            weight.copy_(value)
        for module, mode in modes.items():
            module.training = mode
