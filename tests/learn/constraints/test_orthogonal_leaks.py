"""OPLoRA holds for the adapter that is saved, whatever the optimiser; what it reports is what leaked."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils import parametrize

from breviary.learn import subspace
from breviary.learn.constraints import orthogonal
from breviary.learn.subspace import Directions
from breviary.model import adapt, adapted
from tests.learn.constraints.confined import (
    PAIR,
    STEPS,
    bare,
    leaks,
    made,
    of_model,
    only,
    options,
    product,
    protected,
    toy,
    toy_loss,
    train,
)
from tests.weights import disturb


@pytest.mark.slow
@pytest.mark.parametrize("of", ["base", "merged", "update"])
@pytest.mark.parametrize("quantisation", ["none", "nf4", "int8"])
def test_the_saved_adapter_keeps_out(of: str, quantisation: str, tiny: Any, tmp_path: Path) -> None:
    """With dropout, decay and LoRA+; on the weights as they are used; after saving, and in the merged weights."""
    model = made(tiny, quantisation, dropout=0.1, trained=of != "base")
    weights = adapt.trainable(model)
    before = {module: product(each.update) for module, each in adapted.layers(model).items()}
    found = subspace.first(protected(model)(of), 4, {m: e.update.size for m, e in adapted.layers(model).items()}, of)
    constraint = orthogonal.build(options(of=of), weights, lambda of: found)
    constraint.start()
    losses = train(of_model(model), weights, constraint)
    assert losses[-1] < losses[0] - 0.05
    report = constraint.report()
    assert report["leak_left_max"] < 1e-5 and report["leak_right_max"] < 1e-5

    adapt.save(model, tmp_path / "adapter", "weights")
    stored = adapted.stored(tmp_path / "adapter", "weights")
    reloaded = adapt.load(bare(tiny, quantisation), tmp_path / "adapter", "weights", trainable=False)
    for module, layer in adapted.layers(reloaded).items():
        assert torch.equal(product(layer.update), product(stored[module]))
        step = product(layer.update) - (0 if of == "base" else before[module])
        assert step.norm() > 0.05 * layer.weight().norm()
        assert max(leaks(step, found[module])) < 1e-5
        start = layer.weight().double() + (0 if of == "base" else before[module])
        assert_triples_survive(start, layer.weight().double() + product(layer.update), found[module], of)
    if quantisation == "none":
        plain = dict(reloaded.merge_and_unload().named_parameters())
        for module, layer in adapted.layers(model).items():
            merged = plain[f"{module.removeprefix('base_model.model.')}.weight"].double()
            start = layer.weight().double() + (0 if of == "base" else before[module])
            assert_triples_survive(start, merged, found[module], of)


def assert_triples_survive(start: Tensor, end: Tensor, found: Directions, of: str) -> None:
    left, values, right = found.left.double(), found.values.double(), found.right.double()
    top = torch.linalg.matrix_norm(start, 2)
    assert torch.linalg.matrix_norm(end @ right - start @ right, 2) < 1e-5 * top
    assert torch.linalg.matrix_norm(left.T @ end - left.T @ start, 2) < 1e-5 * top
    if of != "update":  # the singular triples of an update are not those of the weight that it is added to
        assert torch.linalg.matrix_norm(end @ right - left * values, 2) < 1e-5 * top
        assert torch.linalg.matrix_norm(left.T @ end - (right * values).T, 2) < 1e-5 * top


@pytest.mark.parametrize("of", ["base", "update"])
@pytest.mark.parametrize("kind", ["sgd", "adamw", "adamw_8bit"])
def test_no_optimiser_leaks(kind: str, of: str) -> None:
    weights, goal = toy(256, 300, 32)  # 8,192 weights a factor: below 4,096 bitsandbytes keeps its state in 32 bits
    start = (weights[PAIR[1]] @ weights[PAIR[0]]).detach().double()
    if of == "update":
        found = subspace.of_update(weights[PAIR[0]].detach(), weights[PAIR[1]].detach(), 1.0, 16)
    else:
        found = subspace.top_directions(goal, 16)
    constraint = orthogonal.build(options(k=16, of=of), weights, only(found))
    constraint.start()
    losses = train(toy_loss(weights, goal), weights, constraint, kind=kind)
    assert losses[-1] < losses[0]
    end = (weights[PAIR[1]] @ weights[PAIR[0]]).detach().double()
    assert max(leaks(end - (start if of == "update" else 0), found)) < 1e-5
    report = constraint.report()
    assert max(report["leak_left"], report["leak_right"]) < 1e-5


@pytest.mark.parametrize(("kind", "low", "high"), [("sgd", 0.0, 1e-5), ("adamw", 0.03, 1.0)])
def test_projecting_the_gradient_alone_leaks_with_adam(kind: str, low: float, high: float) -> None:
    weights, goal = toy(60, 50, 8)
    goal *= torch.linspace(0.1, 3, 50)
    constraint = orthogonal.build(options(k=8), weights, only(subspace.top_directions(goal, 8)))
    constraint.start()
    train(toy_loss(weights, goal), weights, constraint, kind=kind, retract=False)
    assert low <= min(constraint.report()["leak_left"], constraint.report()["leak_right"])
    assert max(constraint.report()["leak_left"], constraint.report()["leak_right"]) <= high


@pytest.mark.parametrize("of", ["merged", "update"])
def test_projecting_each_factor_of_a_step_alone_leaks(of: str) -> None:
    """U' dB = 0 and dA V = 0 leave U' B0 dA and dB A0 V."""
    weights, goal = toy(60, 50, 8)
    a, b = (weights[name].detach().clone() for name in PAIR)
    dense = goal + b @ a if of == "merged" else b @ a
    found = subspace.top_directions(dense, 4)
    naive = orthogonal.build(
        options(k=4), weights, only(found)
    )  # its gradients keep out of U on the left, V on the right
    for _ in range(STEPS):
        toy_loss(weights, goal)().backward()
        naive.gradient()
        with torch.no_grad():
            for weight in weights.values():
                assert weight.grad is not None
                weight -= 20 * weight.grad
                weight.grad = None
    step = (weights[PAIR[1]] @ weights[PAIR[0]]).detach().double() - b.double() @ a.double()
    assert float((found.left.T @ (weights[PAIR[1]].detach() - b)).abs().max()) < 1e-6  # as far as it goes
    assert float(((weights[PAIR[0]].detach() - a) @ found.right).abs().max()) < 1e-6
    assert min(leaks(step, found)) > 0.05

    with torch.no_grad():
        for name, start in zip(PAIR, (a, b), strict=True):
            weights[name].copy_(start)
    constraint = orthogonal.build(options(k=4, of=of), weights, only(found))
    train(toy_loss(weights, goal), weights, constraint)
    step = (weights[PAIR[1]] @ weights[PAIR[0]]).detach().double() - b.double() @ a.double()
    assert max(leaks(step, found)) < 1e-5


class Outside(torch.nn.Module):
    """x without its part in the columns of `basis`, on one side."""

    def __init__(self, basis: Tensor, left: bool) -> None:
        super().__init__()
        self.basis, self.left = basis, left

    def forward(self, x: Tensor) -> Tensor:
        if self.left:
            return x - self.basis @ (self.basis.T @ x)
        return x - (x @ self.basis) @ self.basis.T


@pytest.mark.parametrize("trained", [False, True])
def test_the_losses_are_those_of_the_projections_in_the_forward_pass(trained: bool, tiny: Any) -> None:
    """(I - UU') B A (I - VV') in the forward pass, against projected weights: the same to rounding, in float64."""
    found, runs = {}, []
    for form in ("forward", "retraction"):
        model = made(tiny, trained=trained).double()
        weights = adapt.trainable(model)
        for module, layer in adapted.layers(model).items():
            left, values, right = torch.linalg.svd(layer.weight(), full_matrices=False)
            found[module] = Directions(left[:, :6], values[:6], right.T[:, :6], 1.0)  # float64: orthonormal to 1e-15
        constraint = None
        if form == "retraction":
            constraint = orthogonal.build(options(k=6), weights, lambda of: found)
            constraint.start()
        else:
            for module, part in model.named_modules():
                if module in found:
                    outside = Outside(found[module].left, True), Outside(found[module].right, False)
                    parametrize.register_parametrization(part.lora_B["default"], "weight", outside[0])
                    parametrize.register_parametrization(part.lora_A["default"], "weight", outside[1])
            raw = adapt.trainable(model)
            weights = {name: raw[name.replace("weight", "parametrizations.weight.original")] for name in weights}
        runs.append(train(of_model(model), weights, constraint, steps=10))
    forward, retraction = runs
    assert forward[-1] < forward[0] - 0.01
    assert max(abs(one - other) for one, other in zip(forward, retraction, strict=True)) < 1e-12


@settings(max_examples=30, deadline=None)
@given(
    out=st.integers(14, 40),
    into=st.integers(14, 40),
    rank=st.integers(3, 6),
    k=st.integers(1, 2),
    of=st.sampled_from(["base", "merged"]),
    seed=st.integers(0, 2**16),
)
def test_the_leak_is_that_of_the_dense_product(out: int, into: int, rank: int, k: int, of: str, seed: int) -> None:
    weights, goal = toy(out, into, rank, seed)
    start = {name: weight.detach().double() for name, weight in weights.items()}
    found = subspace.top_directions(goal, k)
    constraint = orthogonal.build(options(k=k, of=of), weights, only(found))
    disturb(weights, seed)
    dense = weights[PAIR[1]].detach().double() @ weights[PAIR[0]].detach().double()
    if of == "merged":
        dense = dense - start[PAIR[1]] @ start[PAIR[0]]
    expected = leaks(dense, found)
    report, details = constraint.report(), constraint.details()
    assert (report["leak_left"], report["leak_right"]) == pytest.approx(expected, rel=1e-9)
    assert details == {"m": {"left": report["leak_left_max"], "right": report["leak_right_max"]}}


def test_the_random_level_is_that_of_random_updates() -> None:
    weights, goal = toy(80, 40, 8)
    constraint = orthogonal.build(options(), weights, only(subspace.top_directions(goal, 4)))
    found = []
    for seed in range(200):
        drawn, _ = toy(80, 40, 8, seed)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(drawn[name])
        found.append(constraint.report())
    for side, size in (("left", 80), ("right", 40)):
        squares = [report[f"leak_{side}"] ** 2 for report in found]
        assert found[0][f"random_{side}"] == pytest.approx((4 / size) ** 0.5)
        assert (sum(squares) / len(squares)) ** 0.5 == pytest.approx((4 / size) ** 0.5, rel=0.1)


def test_modules_are_reported_one_by_one_and_together(tiny: Any) -> None:
    model = made(tiny, trained=True)
    constraint = orthogonal.build(options(), adapt.trainable(model), protected(model))
    details, report = constraint.details(), constraint.report()
    assert details.keys() == adapted.layers(model).keys()
    for side in ("left", "right"):
        each = [values[side] for values in details.values()]
        assert report[f"leak_{side}_max"] == max(each)
        assert report[f"leak_{side}"] == pytest.approx(sum(each) / len(each))
    assert report.keys() == {f"{name}_{side}" for name in ("leak", "random") for side in ("left", "right")} | {
        *("leak_left_max", "leak_right_max")
    }
