"""EWC is its formula, whatever a step is made of, and makes a model forget less."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from breviary.data import batches
from breviary.data.batches import Row
from breviary.errors import ArtifactError, ConfigError
from breviary.learn import anchors, fisher, loop, objective
from breviary.learn.anchors import Anchor
from breviary.learn.forward import forward
from breviary.learn.objective import Whole
from breviary.learn.terms import ewc
from breviary.model import adapt, optimizer

PAD = 258
CE = {"cross_entropy": {"weight": 1.0}}
Given = Callable[..., Any]
Rows = Callable[..., list[Row]]


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


def formula(weights: dict[str, Tensor], anchor: Anchor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for name, weight in weights.items():
        total = total + 0.5 * (anchor.fisher[name] * (weight - anchor.weights[name]) ** 2).sum()
    return total


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


def trained(model: Any) -> Any:
    draw = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in adapt.trainable(model).items():
            if "lora_B" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=draw))
    return model


def shifted(model: Any) -> Anchor:
    """An anchor away from where the model stands."""
    found = adapt.trainable(model)
    draw = torch.Generator().manual_seed(8)
    noise = {name: torch.randn(each.shape, generator=draw, dtype=each.dtype) for name, each in found.items()}
    return Anchor(
        {name: each.detach() + 0.1 * noise[name] for name, each in found.items()},
        {name: noise[name].square() for name in found},
    )


def through_the_loop(
    model: Any, accelerator: Any, steps: Any, terms: Any, wholes: Any, schedule: Any = lambda step: 1.0
) -> list[loop.Measured]:
    groups = optimizer.groups(adapt.trainable(model), lr=1e-2, ratio=4.0, weight_decay=0.01)
    adam = optimizer.create("adamw", groups, (0.9, 0.999))
    return list(
        loop.train(model, terms, adam, schedule, steps, accelerator=accelerator, max_grad_norm=1e9, wholes=wholes)
    )


def state(model: Any) -> Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in adapt.trainable(model).values()])


@pytest.mark.slow
def test_accumulation_does_not_change_the_step(tiny: Any, accelerator: Any, make_rows: Rows, make_given: Given) -> None:
    """The Trainer that everyone uses multiplies an added term by the number of micro-batches."""
    rows, ends, norms = make_rows(8, seed=2), [], []
    for micro_batches in (1, 2, 8):
        model = trained(tiny.adapted(double=True))
        given = make_given(weights=adapt.trainable(model), anchor=lambda model=model: shifted(model))
        parts = objective.build(CE | {"ewc": {"weight": 50.0}}, given)
        step = list(batches.micro_batches(rows, 8 // micro_batches, PAD))
        assert len(step) == micro_batches
        done = through_the_loop(model, accelerator, [step] * 2, parts.terms, parts.wholes)
        ends.append(state(model))
        norms.append([each.grad_norm for each in done])
    assert float((ends[0] - state(trained(tiny.adapted(double=True)))).abs().max()) > 1e-4
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=0, atol=1e-10)
    assert norms[1] == pytest.approx(norms[0], rel=1e-8) and norms[2] == pytest.approx(norms[0], rel=1e-8)


def test_steps_are_those_of_a_penalty_in_the_graph(
    tiny: Any, accelerator: Any, make_rows: Rows, make_given: Given
) -> None:
    closed, graph = trained(tiny.adapted(double=True)), trained(tiny.adapted(double=True))
    parts = objective.build(
        CE | {"ewc": {"weight": 50.0}},
        make_given(weights=adapt.trainable(closed), anchor=lambda: shifted(closed)),
    )
    named = adapt.trainable(graph)
    anchor = shifted(graph)

    def backward(number: int, model: Any) -> Tensor:
        penalty = formula(named, anchor)
        (50.0 * penalty).backward()
        return penalty.detach()

    steps = [list(batches.micro_batches(make_rows(4, seed=seed), 2, PAD)) for seed in range(3)]
    ours = through_the_loop(closed, accelerator, steps, parts.terms, parts.wholes)
    theirs = through_the_loop(graph, accelerator, steps, parts.terms, {"ewc": Whole(50.0, backward)})
    torch.testing.assert_close(state(closed), state(graph), rtol=0, atol=1e-10)
    assert [each.terms["ewc"] for each in ours] == pytest.approx([each.terms["ewc"] for each in theirs], rel=1e-9)
    assert ours[2].terms["ewc"] < ours[0].terms["ewc"]


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


def task(low: int, high: int, answer: int, seed: int) -> list[Row]:
    """Prompts of bytes from one range, and always the same answer."""
    import random

    draw = random.Random(seed)
    return [Row(f"{seed}-{n}", [draw.randrange(low, high) for _ in range(12)], [answer, 257]) for n in range(24)]


def learn(model: Any, rows: list[Row], accelerator: Any, wholes: Any, terms: Any) -> None:
    plan = batches.steps(rows, epochs=10, batch=8, seed=0)
    steps = [list(batches.micro_batches(each, 8, PAD)) for each in plan]
    through_the_loop(model, accelerator, steps, terms, wholes, schedule=lambda step: 1 - step / len(plan))


@torch.no_grad()
def loss(model: Any, rows: list[Row]) -> float:
    step = forward(model, batches.collate(rows, PAD))
    return float(nn.functional.cross_entropy(step.logits, step.targets))


@pytest.mark.slow
def test_it_makes_a_model_forget_less(tiny: Any, accelerator: Any, make_given: Given) -> None:
    """Two tasks with other prompts and other answers: what the second teaches, the model says to the first as well."""
    first, unseen = task(0, 60, 97, seed=1), task(0, 60, 97, seed=3)
    second, other = task(120, 180, 98, seed=2), task(120, 180, 98, seed=4)
    model = tiny.adapted(rank=8)
    with torch.no_grad():
        model.base_model.model.model.norm.weight.mul_(10)  # or no frozen random head could be sure of anything
    weights = adapt.trainable(model)
    plain = objective.build(CE, make_given(weights=weights))
    learn(model, first, accelerator, {}, plain.terms)
    found = fisher.diagonal(model, first, weights, pad=PAD, accelerator=accelerator)
    anchor = Anchor(
        {name: each.detach().clone() for name, each in weights.items()}, fisher.normalise(found.diagonal)[0]
    )
    held = objective.build(CE | {"ewc": {"weight": 0.5}}, make_given(weights=weights, anchor=lambda: anchor))
    start = loss(model, unseen), loss(model, other)
    assert start[0] < 0.5 and start[1] > 3
    ends = {}
    for kind, parts in (("plain", plain), ("held", held)):
        with torch.no_grad():
            for name, each in weights.items():
                each.copy_(anchor.weights[name])
        learn(model, second, accelerator, parts.wholes, parts.terms)
        ends[kind] = loss(model, unseen) - start[0], loss(model, other)
    assert ends["plain"][0] > 2, "there is nothing to forget"
    assert ends["held"][0] < 0.4 * ends["plain"][0]
    assert ends["plain"][1] < 1 and ends["held"][1] < 1
