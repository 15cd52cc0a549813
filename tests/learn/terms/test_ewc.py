"""EWC is its formula, in value and slope, and says how far the weights are from their anchor."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from breviary.errors import ArtifactError, ConfigError
from breviary.learn import anchors, objective
from breviary.learn.anchors import Anchor
from breviary.learn.objective import Whole
from breviary.learn.terms import ewc
from tests.learn.terms.quadratic import formula

Given = Callable[..., Any]


def random(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=draw, dtype=torch.float64) for name, shape in shapes.items()}


SHAPES = {"a": (3, 4), "b": (5,), "c": ()}


@pytest.fixture
def weights() -> dict[str, Tensor]:
    return {name: nn.Parameter(each) for name, each in random(SHAPES, 0).items()}


@pytest.fixture
def anchor() -> Anchor:
    return Anchor(random(SHAPES, 1), {name: each.square() for name, each in random(SHAPES, 2).items()})


def built(make_given: Given, weights: dict[str, Tensor], anchor: Anchor, **options: Any) -> Whole:
    given = make_given(weights=weights, anchor=lambda: anchor)
    return ewc.build(ewc.Options.model_validate({"weight": 1.0} | options), given)


def test_it_is_zero_at_the_anchor(make_given: Given, weights: dict[str, Tensor], anchor: Anchor) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(anchor.weights[name])
    term = built(make_given, weights, anchor, weight=7.0)
    assert float(term.backward(0, None)) == 0
    assert all(weight.grad is not None and not weight.grad.any() for weight in weights.values())
    assert term.report(None) == {"penalty": 0.0, "distance": 0.0, "distance_by_fisher": 0.0}


@pytest.mark.parametrize("weight", [1.0, 400.0])
def test_value_and_gradient_are_those_of_the_formula(
    weight: float, make_given: Given, weights: dict[str, Tensor], anchor: Anchor
) -> None:
    penalty = formula(weights, anchor)
    expected = dict(zip(weights, torch.autograd.grad(weight * penalty, list(weights.values())), strict=True))
    already = random(SHAPES, 3)
    weights["a"].grad = already["a"].clone()  # as an earlier term leaves it
    term = built(make_given, weights, anchor, weight=weight)
    value = term.backward(0, None)
    torch.testing.assert_close(value, penalty.detach(), rtol=1e-14, atol=0)
    assert not value.requires_grad and term.weight == weight
    for name, each in weights.items():
        before = already["a"] if name == "a" else 0
        slope = weight * anchor.fisher[name] * (each.detach() - anchor.weights[name])
        torch.testing.assert_close(each.grad, before + slope, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(each.grad, before + expected[name], rtol=1e-12, atol=1e-12)


def test_the_slope_is_that_of_finite_differences(make_given: Given, weights: dict[str, Tensor], anchor: Anchor) -> None:
    term = built(make_given, weights, anchor)
    term.backward(0, None)
    slope, entry = float(weights["a"].grad[1, 2]), weights["a"].detach()[1]  # type: ignore[index]
    values = []
    for move in (1e-5, -2e-5):
        entry[2] += move
        values.append(float(term.backward(0, None)))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-8)


def test_the_anchor_and_its_fisher_are_never_written(
    make_given: Given, weights: dict[str, Tensor], anchor: Anchor
) -> None:
    kept = {name: (anchor.weights[name].clone(), anchor.fisher[name].clone()) for name in SHAPES}
    term = built(make_given, weights, anchor)
    first = term.backward(0, None)
    assert torch.equal(term.backward(1, None), first)  # and it depends on the weights alone, not on `.grad`
    for name, (held, size) in kept.items():
        assert torch.equal(anchor.weights[name], held) and torch.equal(anchor.fisher[name], size)


def test_a_penalty_that_is_not_finite_adds_nothing(
    make_given: Given, weights: dict[str, Tensor], anchor: Anchor
) -> None:
    with torch.no_grad():
        weights["c"].fill_(float("inf"))  # the last of them: nothing of the others may be added before
    assert not math.isfinite(float(built(make_given, weights, anchor).backward(0, None)))
    assert all(weight.grad is None for weight in weights.values())


def test_clipping_lowers_the_few_largest(make_given: Given) -> None:
    sizes = {"a": torch.arange(1.0, 91.0).reshape(9, 10), "b": torch.arange(1000.0, 10001.0, 1000.0)}
    found = ewc.clipped(sizes, 95.0)
    assert torch.equal(found["a"], sizes["a"])
    assert found["b"].tolist() == [1000.0, 2000.0, 3000.0, 4000.0, *[5000.0] * 6]
    assert torch.equal(ewc.clipped(sizes, 100.0)["b"], sizes["b"])
    weights = {name: torch.zeros_like(each) for name, each in sizes.items()}
    anchor = Anchor({name: torch.ones_like(each) for name, each in sizes.items()}, sizes)
    whole = built(make_given, weights, anchor, clip_percentile=95.0)
    assert float(whole.backward(0, None)) == sum(float(each.sum()) for each in found.values()) / 2
    assert float(built(make_given, weights, anchor).backward(0, None)) == 59095 / 2


def test_clipping_to_nothing_is_refused() -> None:
    sizes = {"a": torch.tensor([0.0, 0.0, 0.0, 1.0])}
    with pytest.raises(ConfigError, match=r"clip_percentile: 75 % of the Fisher is zero.*choose one above 75, or null"):
        ewc.clipped(sizes, 75.0)
    assert torch.equal(ewc.clipped(sizes, 76.0)["a"], sizes["a"])


def test_without_an_earlier_phase_there_is_nothing_to_hold(make_given: Given, weights: dict[str, Tensor]) -> None:
    def first() -> Anchor:
        return anchors.load(anchors.folder(None), weights)

    with pytest.raises(ConfigError, match="ewc has no anchor: no phase comes before this one"):
        ewc.build(ewc.Options(weight=1.0), make_given(weights=weights, anchor=first))


def test_the_anchor_of_another_adapter_is_refused(
    make_given: Given, weights: dict[str, Tensor], anchor: Anchor
) -> None:
    del weights["b"]
    with pytest.raises(ArtifactError, match="ewc's anchor: does not belong to this adapter, which has a, c"):
        built(make_given, weights, anchor)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": 0.0}, r"terms\.ewc\.weight: Input should be greater than 0"),
        ({}, r"terms\.ewc\.weight: this key is required"),
        ({"weight": 1.0, "clip_percentile": 20.0}, r"terms\.ewc\.clip_percentile: .*greater than or equal to 50"),
        ({"weight": 1.0, "lambda": 2.0}, r"terms\.ewc\.lambda: unknown key"),
    ],
)
def test_wrong_options_are_told_with_their_address(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        objective.check({"ewc": options}, "terms")


def test_the_report_says_how_far_the_weights_are(make_given: Given) -> None:
    weights = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([2.0])}
    anchor = Anchor(
        {"a": torch.tensor([0.0, 0.0]), "b": torch.tensor([0.0])},
        {"a": torch.tensor([0.0, 1.0])} | {"b": torch.tensor([3.0])},
    )
    said = built(make_given, weights, anchor, weight=5.0).report(None)
    assert said == pytest.approx(
        {"penalty": 10.5, "distance": math.sqrt(14 / 3), "distance_by_fisher": math.sqrt(21 / 4)}
    )
