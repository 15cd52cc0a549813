"""The product of a frozen weight and its low-rank update in one autograd function, of several that read one input.

    y_i = W_i x + s_i B_i A_i d(x)        W_i (out_i, in) frozen, A_i (rank_i, in), B_i (out_i, rank_i), d dropout

With u = A d(x) for all A stacked, and g = [s_i B_i' dy_i] stacked alike, the gradients are

    dB_i = s_i dy_i u_i'        dA = g d(x)'        dx = sum_i W_i' dy_i + d'(A' g)

Written out as PEFT does it, autograd keeps a copy of x for each layer and each cast, and passes four times over every
output. Here x is kept once, in the arithmetic's own type; updates are added into the frozen product in place; the mask
of the dropout is drawn once for all that read x, and drawn again from its seed when the gradient is due. `Gated` does
the same for the product silu(gate) * up that the last layer of a gated perceptron reads, and does not keep it at all.
Only the seed comes from torch's generator, so that a repeated forward pass (gradient checkpointing) draws the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

SEEDS = 2**62
LEVELS = 2**16  # a mask is drawn 16 bits at a time, four to a number of the generator


@dataclass(frozen=True)
class Frozen:
    """A layer that is not trained: its product, bias included, and its weight as the product uses it."""

    product: Callable[[Float[Tensor, "*rows in"]], Float[Tensor, "*rows out"]]
    weight: Callable[[], Float[Tensor, "out in"]]


@dataclass(frozen=True)
class Dropout:
    """A mask that is a function of its seed. Rates are rounded to 1 / 65,536; what is kept is scaled by the same."""

    rate: float
    seed: int

    def mask(self, x: Float[Tensor, "rows in"]) -> Float[Tensor, "rows in"] | None:
        """What `x` is multiplied with: 0, or what keeps the mean; None where nothing is dropped.

        Compared straight into x's own type: to multiply with a mask of booleans takes six times as long on a CPU.
        """
        if not self.rate:
            return None
        generator = torch.Generator(x.device).manual_seed(self.seed)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        words.random_(-(2**63), None, generator=generator)  # all 64 bits
        drawn = words.view(torch.int16)[: x.numel()].view(x.shape)
        dropped = min(round(self.rate * LEVELS), LEVELS - 1)
        return torch.ge(drawn, dropped - LEVELS // 2, out=torch.empty_like(x)).mul_(LEVELS / (LEVELS - dropped))


def drawn(rate: float) -> Dropout:
    """A dropout whose seed torch's generator draws; none is drawn where nothing is dropped."""
    return Dropout(rate, int(torch.randint(SEEDS, ())) if rate else 0)


@dataclass(frozen=True)
class Update:
    """The trained factors of one layer's update."""

    a: Float[Tensor, "rank in"]
    b: Float[Tensor, "out rank"]
    scaling: float


def apply(
    x: Float[Tensor, "*rows in"], layers: Sequence[Frozen], updates: Sequence[Update], dropout: Dropout
) -> tuple[Float[Tensor, "*rows out"], ...]:
    """What each of `layers` with its update makes of the one `x` that they all read."""
    return _Several.apply(x, _Sharing.of(layers, updates, dropout), *_factors(updates))


def apply_gated(
    gate: Float[Tensor, "*rows in"], up: Float[Tensor, "*rows in"], layer: Frozen, update: Update, dropout: Dropout
) -> Float[Tensor, "*rows out"]:
    """What `layer` with its update makes of silu(gate) * up."""
    return _Gated.apply(gate, up, _Sharing.of([layer], [update], dropout), *_factors([update]))


class _Several(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shared: "_Sharing", *factors: Tensor) -> tuple[Tensor, ...]:
        outputs, inner = shared.outputs(x, factors)
        ctx.shared = shared
        ctx.save_for_backward(x, inner, *factors)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Any, ...]:
        x, inner, *factors = ctx.saved_tensors
        by_x, by_factors = ctx.shared.gradients(x, inner, slopes, factors, ctx.needs_input_grad[0])
        return by_x, None, *by_factors


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, shared: "_Sharing", *factors: Tensor) -> Tensor:
        (output,), inner = shared.outputs(functional.silu(gate).mul_(up), factors)
        ctx.shared = shared
        ctx.save_for_backward(gate, up, inner, *factors)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Any, ...]:
        gate, up, inner, *factors = ctx.saved_tensors
        opened = functional.silu(gate)
        by_x, by_factors = ctx.shared.gradients(opened * up, inner, slopes, factors, True)
        by_gate = torch.ops.aten.silu_backward(by_x * up, gate)
        return by_gate, by_x.mul_(opened), None, *by_factors


@dataclass(frozen=True)
class _Sharing:
    """Layers that read one input, without their factors: autograd has to see those."""

    layers: tuple[Frozen, ...]
    scalings: tuple[float, ...]
    ranks: list[int]
    dropout: Dropout

    @classmethod
    def of(cls, layers: Sequence[Frozen], updates: Sequence[Update], dropout: Dropout) -> "_Sharing":
        scalings = tuple(update.scaling for update in updates)
        return cls(tuple(layers), scalings, [len(update.a) for update in updates], dropout)

    def outputs(self, x: Tensor, factors: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """W_i x + s_i B_i u_i, and u."""
        outputs = [layer.product(x) for layer in self.layers]
        kind = outputs[0].dtype
        flat = _flat(x).to(kind)
        inner = _masked(flat, self.dropout.mask(flat)) @ _stacked(factors, kind).T
        for output, u, scaling, b in zip(outputs, self._parts(inner), self.scalings, factors[1::2], strict=True):
            output.view(-1, output.shape[-1]).addmm_(u, b.to(kind).T, alpha=scaling)  # a copy of it would be lost
        return outputs, inner

    def gradients(
        self, x: Tensor, inner: Tensor, slopes: Sequence[Tensor], factors: Sequence[Tensor], wanted: bool
    ) -> tuple[Tensor | None, list[Tensor]]:
        """dx, where it is `wanted`, and dA_1, dB_1, dA_2, ... in the factors' own type."""
        kind, slopes = inner.dtype, [_flat(slope) for slope in slopes]
        lifted = zip(slopes, self.scalings, factors[1::2], strict=True)
        outer = torch.cat([slope @ (b.to(kind) * scaling) for slope, scaling, b in lifted], dim=1)  # g
        flat = _flat(x).to(kind)
        mask = self.dropout.mask(flat)
        by_a = (outer.T @ _masked(flat, mask)).split(self.ranks)
        parts = zip(slopes, self._parts(inner), self.scalings, strict=True)
        by_b = [(u.T @ slope).T.mul(scaling) for slope, u, scaling in parts]  # this way round is the faster
        by_factors = [each.to(factors[0].dtype) for pair in zip(by_a, by_b, strict=True) for each in pair]
        return self._by_input(slopes, outer, mask, factors).view(x.shape) if wanted else None, by_factors

    def _by_input(
        self, slopes: Sequence[Tensor], outer: Tensor, mask: Tensor | None, factors: Sequence[Tensor]
    ) -> Tensor:
        """sum_i W_i' dy_i + d'(A' g)."""
        kind = outer.dtype
        summed = slopes[0] @ self.layers[0].weight().to(kind)
        for slope, layer in zip(slopes[1:], self.layers[1:], strict=True):
            summed.addmm_(slope, layer.weight().to(kind))
        stacked = _stacked(factors, kind)
        if mask is None:
            return summed.addmm_(outer, stacked)
        return summed.addcmul_(outer @ stacked, mask)

    def _parts(self, inner: Tensor) -> Sequence[Tensor]:
        return inner.split(self.ranks, dim=1)


def _factors(updates: Sequence[Update]) -> list[Tensor]:
    return [factor for update in updates for factor in (update.a, update.b)]


def _stacked(factors: Sequence[Tensor], kind: torch.dtype) -> Tensor:
    """All A below one another."""
    return torch.cat([a.to(kind) for a in factors[::2]])


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _flat(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])
