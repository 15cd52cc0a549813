"""OPLoRA holds for the adapter that is saved, whatever the optimiser; a constrained step leaves what was there."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn.utils import parametrize

from breviary.errors import ArtifactError, ConfigError
from breviary.learn import constrained, subspace
from breviary.learn.constrained import Constraint
from breviary.learn.constraints import orthogonal
from breviary.learn.subspace import Directions
from breviary.model import adapt, adapted, compute, optimizer
from breviary.model.adapters import lora

TARGETS = ["q_proj", "v_proj", "down_proj"]
IDS = torch.arange(48).reshape(4, 12)
STEPS = 30
PAIR = ("m.lora_A.default.weight", "m.lora_B.default.weight")


def options(**changes: Any) -> orthogonal.Options:
    return orthogonal.Options.model_validate({"k": 4} | changes)


def made(tiny: Any, quantisation: str = "none", *, rank: int = 8, dropout: float = 0.0, trained: bool = False) -> Any:
    """The tiny backbone with an adapter, fresh or as a phase might leave it."""
    arithmetic = compute.Options.model_validate({"precision": "fp32", "quantisation": quantisation})
    known = lora.Options(kind="lora", rank=rank, alpha=2.0 * rank, dropout=dropout, targets=TARGETS)
    model = adapt.create(compute.load(tiny.folder, arithmetic), known, 0).train()
    if trained:
        disturb(adapt.trainable(model))
    return model


def disturb(weights: Mapping[str, Tensor], seed: int = 1) -> None:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(weights.items()):
            weight += 0.05 * torch.randn(weight.shape, generator=draw)


def product(update: adapted.Update) -> Tensor:
    """The update, dense and in float64."""
    return update.scaling * update.b.double() @ update.a.double()


def protected(model: Any, k: int = 6) -> Callable[[str], dict[str, Directions]]:
    """What the stage `subspace` finds for the weights as they are when asked; more directions than are needed."""

    def find(of: str, each: adapted.Layer) -> Directions:
        if of == "update":
            return subspace.of_update(each.update.a, each.update.b, each.update.scaling, k)
        whole = each.weight().double() + (product(each.update) if of == "merged" else 0)
        return subspace.top_directions(whole, k)

    return lambda of: {module: find(of, each) for module, each in adapted.layers(model).items()}


def adam(weights: Mapping[str, Tensor], kind: str = "adamw", lr: float = 2e-3) -> torch.optim.Optimizer:
    """LoRA+ and a decay that is felt."""
    groups = optimizer.groups(weights, lr=lr, ratio=4.0, weight_decay=0.1)
    if kind == "sgd":
        return torch.optim.SGD([{**group, "lr": 50 * group["lr"]} for group in groups], momentum=0.9)
    return optimizer.create(kind, groups, (0.9, 0.999))


def train(
    loss: Callable[[], Tensor],
    weights: Mapping[str, Tensor],
    constraint: Constraint | None,
    steps: int = STEPS,
    kind: str = "adamw",
    retract: bool = True,
) -> list[float]:
    """As `loop.train` does it."""
    stepper, losses = adam(weights, kind), []
    for _ in range(steps):
        value = loss()
        value.backward()
        if constraint:
            constraint.gradient()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        stepper.step()
        if constraint and retract:
            constraint.retract()
        stepper.zero_grad()
        losses.append(float(value.detach()))
    return losses


def of_model(model: Any) -> Callable[[], Tensor]:
    return lambda: model(input_ids=IDS, labels=IDS).loss


def toy(out: int, into: int, rank: int, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """The factors of one matrix, both away from zero, and a dense matrix."""
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.randn(rank, into, generator=draw), torch.randn(out, rank, generator=draw)
    weights = {PAIR[0]: (0.3 * a).requires_grad_(), PAIR[1]: (0.3 * b).requires_grad_()}
    return weights, torch.randn(out, into, generator=draw)


def toy_loss(weights: Mapping[str, Tensor], goal: Tensor) -> Callable[[], Tensor]:
    return lambda: (weights[PAIR[1]] @ weights[PAIR[0]] - goal).square().mean()


def only(found: Directions) -> Callable[[str], dict[str, Directions]]:
    return lambda of: {"m": found}


def leaks(x: Tensor, found: Directions) -> tuple[float, float]:
    left, right, norm = found.left.double(), found.right.double(), x.norm()
    return float((left.T @ x).norm() / norm), float((x @ right).norm() / norm)


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
    reloaded = adapt.load(made_bare(tiny, quantisation), tmp_path / "adapter", "weights", trainable=False)
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


def made_bare(tiny: Any, quantisation: str) -> Any:
    return compute.load(
        tiny.folder, compute.Options.model_validate({"precision": "fp32", "quantisation": quantisation})
    )


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


def test_a_fresh_adapter_starts_unchanged(tiny: Any) -> None:
    model = made(tiny).eval()
    constraint = orthogonal.build(options(), adapt.trainable(model), protected(model))
    before = of_model(model)()
    assert constraint.start() is False  # A moved, but B is zero
    assert torch.equal(of_model(model)(), before)
    assert constraint.report()["leak_left_max"] == 0


@pytest.mark.parametrize("sides", ["both", "left", "right"])
def test_a_trained_adapter_is_projected_once(sides: str, tiny: Any) -> None:
    model = made(tiny, trained=True).eval()
    weights = adapt.trainable(model)
    constraint = orthogonal.build(options(sides=sides), weights, protected(model))
    others = {name: weight.detach().clone() for name, weight in weights.items()}
    before = of_model(model)()
    assert constraint.start() is True
    assert abs(float((of_model(model)() - before).detach())) > 1e-5
    report = constraint.report()
    assert (report["leak_left_max"] < 1e-6) is (sides != "right")
    assert (report["leak_right_max"] < 1e-6) is (sides != "left")
    moved = {".lora_A.": sides != "left", ".lora_B.": sides != "right"}
    for name, weight in weights.items():
        assert torch.equal(weight, others[name]) is not any(moved[part] for part in moved if part in name)
    assert constraint.start() is False
    projected = constraint.project(others)  # an anchor goes where the weights went
    for name, weight in weights.items():
        torch.testing.assert_close(projected[name], weight.detach(), rtol=0, atol=1e-7)
    assert not any(projected[name] is others[name] for name in others)


@pytest.mark.parametrize("of", ["merged", "update"])
def test_a_constrained_step_leaves_the_start_and_the_anchor(of: str, tiny: Any) -> None:
    model = made(tiny, trained=True)
    weights = adapt.trainable(model)
    constraint = orthogonal.build(options(of=of), weights, protected(model))
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    assert constraint.start() is False
    constraint.retract()
    assert all(torch.equal(weight, before[name]) for name, weight in weights.items())
    copies = constraint.project(before)
    assert all(torch.equal(copies[name], before[name]) and copies[name] is not before[name] for name in before)
    assert constraint.report()["leak_left_max"] == 0


@pytest.mark.parametrize("of", ["merged", "update"])
@pytest.mark.parametrize("sides", ["left", "right"])
def test_one_side_of_a_step(sides: str, of: str) -> None:
    weights, goal = toy(60, 50, 8)
    dense = (weights[PAIR[1]] @ weights[PAIR[0]]).detach() + (goal if of == "merged" else 0)
    constraint = orthogonal.build(options(of=of, sides=sides), weights, only(subspace.top_directions(dense, 4)))
    train(toy_loss(weights, goal), weights, constraint)
    report = constraint.report()
    held, free = ("left", "right") if sides == "left" else ("right", "left")
    assert report[f"leak_{held}"] < 1e-5 < 0.02 < report[f"leak_{free}"]


def test_a_projected_adapter_loses_no_rank_to_the_merged_weights(tiny: Any) -> None:
    """The first directions of W + BA are those of W when BA keeps out of them: there is nothing more to keep."""
    model = made(tiny, rank=4, trained=True)
    weights = adapt.trainable(model)
    base = orthogonal.build(options(), weights, protected(model))
    base.start()
    found = protected(model)("base")
    merged = orthogonal.build(options(of="merged"), weights, lambda of: found)  # k is all of the rank
    of_model(model)().backward()
    whole = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
    base.gradient()
    once = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
    for name, weight in weights.items():
        weight.grad = whole[name]
    merged.gradient()
    assert all(torch.equal(weight.grad, once[name]) for name, weight in weights.items() if weight.grad is not None)
    assert len(once) == len(weights)


def test_a_resumed_step_is_measured_from_where_the_phase_began() -> None:
    weights, goal = toy(60, 50, 8)
    begun = {name: weight.detach().clone() for name, weight in weights.items()}
    found = subspace.top_directions((weights[PAIR[1]] @ weights[PAIR[0]]).detach(), 4)
    constraint = orthogonal.build(options(of="update"), weights, only(found))
    train(toy_loss(weights, goal), weights, constraint, steps=5)
    again = {name: weight.clone().requires_grad_() for name, weight in begun.items()}
    resumed = orthogonal.build(options(of="update"), again, only(found))
    with torch.no_grad():
        for name, weight in again.items():
            weight.copy_(weights[name])
    assert resumed.report() == constraint.report()
    resumed.retract()
    constraint.retract()
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())


def test_a_weight_without_gradient_is_left_alone() -> None:
    weights, goal = toy(20, 30, 4)
    constraint = orthogonal.build(options(), weights, only(subspace.top_directions(goal, 4)))
    constraint.gradient()
    assert all(weight.grad is None for weight in weights.values())


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


def test_too_many_directions_are_refused_with_every_module(tiny: Any) -> None:
    model = made(tiny, rank=16)
    build = partial(orthogonal.build, weights=adapt.trainable(model), protected=protected(model))
    with pytest.raises(ConfigError) as refused:
        build(options(k=16))
    assert str(refused.value).splitlines() == [
        *(
            f"constraints.orthogonal.k=16 leaves base_model.model.model.layers.{layer}.self_attn.v_proj (32 x 64) "
            "no room for an update of rank 16: at most 15"
            for layer in (0, 1)
        ),
        "lower k or adapter.rank, or take these layers out of adapter.targets",
    ]


@pytest.mark.parametrize("of", ["merged", "update"])
def test_a_step_that_has_nothing_left_is_refused(of: str, tiny: Any) -> None:
    model = made(tiny, rank=4, trained=True)
    with pytest.raises(ConfigError) as refused:
        orthogonal.build(options(of=of), adapt.trainable(model), protected(model, k=4))
    lines = str(refused.value).splitlines()
    assert len(lines) == 7 and lines[-1] == "k must be below the rank: lower k, or raise adapter.rank"
    assert lines[0] == (
        f"constraints.orthogonal.k=4, of: {of}: nothing of rank 4 is left to train in "
        "base_model.model.model.layers.0.mlp.down_proj"
    )


def test_directions_of_another_adapter_are_refused(tiny: Any) -> None:
    model = made(tiny)
    found = dict(list(protected(model)("base").items())[1:])
    with pytest.raises(ArtifactError, match=r"subspace of 'base': .*down_proj: no directions\nset subspace\.k to"):
        orthogonal.build(options(), adapt.trainable(model), lambda of: found)
    with pytest.raises(ArtifactError, match=r"q_proj: 6 directions stored, k=7 asked for"):
        orthogonal.build(options(k=7), adapt.trainable(model), protected(model))


@pytest.mark.parametrize("changes", [{"k": 0}, {"sides": "up"}, {"of": "phase1"}, {"rank": 3}])
def test_options_out_of_range_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        options(**changes)


def test_it_is_built_by_its_name(tiny: Any) -> None:
    model = made(tiny)
    weights = adapt.trainable(model)
    built = constrained.build({"orthogonal": {"k": 4}}, weights, protected(model))
    assert list(built) == ["orthogonal"] and not built["orthogonal"].start()
    with pytest.raises(
        ConfigError, match=r"train_phase2\.constraints\.orthogonal\.kk: unknown key, did you mean 'k'\?"
    ):
        constrained.build({"orthogonal": {"kk": 4}}, weights, protected(model), "train_phase2.constraints")
