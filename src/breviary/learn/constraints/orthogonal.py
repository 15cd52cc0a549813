"""OPLoRA: what is learned stays out of the directions in which a matrix does most of what it does.

    Delta W = (I - U U') B A (I - V V')           U, V: the first k singular vectors of the protected matrix

so that (W + Delta W) V = W V and U' (W + Delta W) = U' W: the k largest singular triples of W survive, exactly.
Xiong & Xie 2025, arXiv:2510.13003. The weights themselves are kept there: at the start, and after each step, since Adam
rescales each coordinate and a projected gradient gives no projected step. So the saved adapter is a plain LoRA that has
the property, which no forward hook gives. The gradient is projected too, or Adam's averages would fill with what never
happens. The training is the same, to the last bits, as with the projections in the forward pass.

`of: base` constrains the weights. `of: merged` and `of: update`, matrices in which earlier phases' work B0 A0 lies,
constrain the *step* from where the phase began: to project the weights would throw that work away. Not factor by
factor: with dB = B - B0, dA = A - A0 the step is dB A0 + B0 dA + dB dA, and U' dB = 0 leaves U' B0 dA. All of

    U' dB = 0     (U' B0) dA = 0     dA V = 0     dB (A0 V) = 0

are needed, and are enough. They are linear, and their projections commute, so that one pass of each is exact. They cost
up to k of the rank on each factor. Adapter weights are fp32: a step that is a share s of what it starts from is known
to 6e-8 / s, and so is its leak.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from breviary import config
from breviary.errors import ConfigError, listed
from breviary.learn import subspace
from breviary.learn.constrained import Constraint
from breviary.learn.subspace import Directions, Protected
from breviary.model import adapted

WHERE = "constraints.orthogonal.k"
ROUNDING = 1e-6  # share of a norm below which a product of fp32 matrices is taken for zero


class Options(config.Options):
    """How many directions, of which matrices, on which sides."""

    k: int = Field(default=16, ge=1)
    sides: Literal["both", "left", "right"] = "both"  # left: what W writes; right: what it reads
    of: Literal["base", "merged", "update"] = "base"


@dataclass(frozen=True)
class Factor:
    """A or B, and what it keeps out of: rows' x = 0 and x columns = 0, for x = weight, or weight - start."""

    weight: Float[Tensor, "m n"]
    rows: Float[Tensor, "m i"]  # orthonormal columns, or none
    columns: Float[Tensor, "n j"]
    start: Float[Tensor, "m n"] | None


@dataclass(frozen=True)
class Held:
    """One adapted matrix with its protected directions."""

    names: tuple[str, str]  # of A and B
    a: Factor
    b: Factor
    directions: Directions  # on the device of the weights


def build(options: Options, weights: Mapping[str, Tensor], protected: Protected) -> Constraint:
    """The constraint on `weights`, whose values now are where a constrained step starts from.

    Raises ConfigError if k leaves no room, ArtifactError if the directions are of other matrices.
    """
    names = adapted.pairs(weights)
    sizes = {module: adapted.Update(weights[a], weights[b], 1.0).size for module, (a, b) in names.items()}
    subspace.require_room(options.k, sizes, WHERE)
    found = subspace.first(protected(options.of), options.k, sizes, options.of)
    make = _weights_held if options.of == "base" else _step_held
    held = {
        module: make(pair, weights, _like(found[module], weights[pair[0]]), options.sides)
        for module, pair in names.items()
    }
    _require_freedom(options, held)
    factors = [factor for each in held.values() for factor in (each.a, each.b)]
    return Constraint(
        start=lambda: _start(held, options.sides) if options.of == "base" else False,
        gradient=lambda: _gradient(factors),
        retract=lambda: _retract(factors),
        project=lambda others: _project(held, others),
        report=lambda: _report(held),
        details=lambda: {module: {"left": u, "right": v} for module, (u, v) in leaks(held).items()},
    )


def _weights_held(names: tuple[str, str], weights: Mapping[str, Tensor], found: Directions, sides: str) -> Held:
    a, b = weights[names[0]], weights[names[1]]
    nothing = a.new_zeros(a.shape[0], 0)
    left, right = _sides(found, sides)
    return Held(names, Factor(a, nothing, right, None), Factor(b, left, nothing, None), found)


def _step_held(names: tuple[str, str], weights: Mapping[str, Tensor], found: Directions, sides: str) -> Held:
    a, b = weights[names[0]], weights[names[1]]
    a_start, b_start = a.detach().clone(), b.detach().clone()
    left, right = _sides(found, sides)
    written = _span(b_start.T.double() @ left.double(), b_start)  # rank dimensions through which B0 writes into U
    read = _span(a_start.double() @ right.double(), a_start)  # and through which A0 reads from V
    return Held(names, Factor(a, written, right, a_start), Factor(b, left, read, b_start), found)


def _sides(found: Directions, sides: str) -> tuple[Float[Tensor, "out i"], Float[Tensor, "in j"]]:
    """Left and right directions; none on a side that is free."""
    return found.left[:, : None if sides != "right" else 0], found.right[:, : None if sides != "left" else 0]


def _span(of: Float[Tensor, "rank k"], factor: Tensor) -> Float[Tensor, "rank j"]:
    """An orthonormal basis of the columns' span, without what is rounding beside the norm of `factor`."""
    basis, values, _ = torch.linalg.svd(of, full_matrices=False)
    return basis[:, values > ROUNDING * torch.linalg.matrix_norm(factor.double())].to(factor.dtype).contiguous()


def _like(found: Directions, weight: Tensor) -> Directions:
    left, values, right = (each.to(weight) for each in (found.left, found.values, found.right))
    return Directions(left, values, right, found.energy)


def _require_freedom(options: Options, held: Mapping[str, Held]) -> None:
    stuck = [
        f"{WHERE}={options.k}, of: {options.of}: nothing of rank {each.a.weight.shape[0]} is left to train in {module}"
        for module, each in held.items()
        if max(each.a.rows.shape[1], each.b.columns.shape[1]) >= each.a.weight.shape[0]
    ]
    if stuck:
        raise ConfigError(listed(stuck, "k must be below the rank: lower k, or raise adapter.rank"))


def _remove(x: Float[Tensor, "m n"], factor: Factor) -> None:
    """Take out of `x`, in place, what the factor is to keep out of."""
    rows, columns = factor.rows.to(x), factor.columns.to(x)
    if rows.shape[1]:
        x.addmm_(rows, rows.T @ x, alpha=-1)
    if columns.shape[1]:
        x.addmm_(x @ columns, columns.T, alpha=-1)


@torch.no_grad()
def _gradient(factors: list[Factor]) -> None:
    for factor in factors:
        if factor.weight.grad is not None:
            _remove(factor.weight.grad, factor)


@torch.no_grad()
def _retract(factors: list[Factor]) -> None:
    for factor in factors:
        if factor.start is None:
            _remove(factor.weight, factor)
        else:
            step = factor.weight - factor.start
            _remove(step, factor)
            factor.weight.copy_(step.add_(factor.start))


@torch.no_grad()
def _start(held: Mapping[str, Held], sides: str) -> bool:
    """Project the weights; whether the model computes something else now, by more than rounding."""
    sided = {"both": (0, 1), "left": (0,), "right": (1,)}[sides]
    changed = any(leak[side] > ROUNDING for leak in leaks(held).values() for side in sided)
    _retract([factor for each in held.values() for factor in (each.a, each.b)])
    return changed


@torch.no_grad()
def _project(held: Mapping[str, Held], others: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies, projected where it is the weights that are constrained."""
    copies = {name: other.detach().clone() for name, other in others.items()}
    for each in held.values():
        for name, factor in zip(each.names, (each.a, each.b), strict=True):
            if factor.start is None and name in copies:
                _remove(copies[name], factor)
    return copies


def leaks(held: Mapping[str, Held]) -> dict[str, tuple[float, float]]:
    """For each module ||U' X|| / ||X|| and ||X V|| / ||X||, where X is what is constrained: B A, or its step."""
    return {module: _leak(each) for module, each in held.items()}


@torch.no_grad()
def _leak(held: Held) -> tuple[float, float]:
    """In float64 and without forming X, as the product of a tall and a wide matrix: [dB, B0] [A; dA] is the step."""
    a, b = held.a.weight.double(), held.b.weight.double()
    tall, wide = b, a
    if held.a.start is not None and held.b.start is not None:
        b_start = held.b.start.double()
        tall, wide = torch.cat([b - b_start, b_start], 1), torch.cat([a, a - held.a.start.double()])
    norm = float(((tall.T @ tall) * (wide @ wide.T)).sum().clamp(min=0).sqrt())
    if norm == 0:
        return 0.0, 0.0
    left = torch.linalg.matrix_norm((held.directions.left.T.double() @ tall) @ wide)
    right = torch.linalg.matrix_norm(tall @ (wide @ held.directions.right.double()))
    return float(left) / norm, float(right) / norm


def _report(held: Mapping[str, Held]) -> dict[str, float]:
    """Mean and largest leak of each side, and that of an update in random directions, to compare with."""
    found = list(leaks(held).values())
    said = {}
    for side, name in enumerate(("left", "right")):
        said[f"leak_{name}"] = sum(leak[side] for leak in found) / len(found)
        said[f"leak_{name}_max"] = max(leak[side] for leak in found)
        shapes = [getattr(each.directions, name).shape for each in held.values()]
        said[f"random_{name}"] = sum((k / size) ** 0.5 for size, k in shapes) / len(shapes)
    return said
