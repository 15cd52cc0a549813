"""EWC in a phase: a step is the same whatever it is made of, and the model forgets less."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from breviary.data import batches
from breviary.data.batches import Row
from breviary.learn import fisher, loop, objective
from breviary.learn.anchors import Anchor
from breviary.learn.forward import forward
from breviary.learn.objective import Whole
from breviary.model import adapt, optimizer
from tests.learn.terms.quadratic import formula
from tests.weights import wake

PAD = 258
CE = {"cross_entropy": {"weight": 1.0}}
Given = Callable[..., Any]
Rows = Callable[..., list[Row]]


def trained(model: Any) -> Any:
    return wake(model, seed=7)


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
