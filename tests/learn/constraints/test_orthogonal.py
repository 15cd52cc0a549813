"""OPLoRA begins where it should, acts on a step and no more, and refuses what it cannot hold."""

from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from breviary.errors import ArtifactError, ConfigError
from breviary.learn import constrained, subspace
from breviary.learn.constraints import orthogonal
from breviary.model import adapt
from tests.learn.constraints.confined import PAIR, made, of_model, only, options, protected, toy, toy_loss, train


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
