"""What the contrastive term remembers from step to step: its queue, the centre and the start; and that it resumes."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from breviary.learn import crossclr, pairings
from breviary.learn.embedding import embed
from breviary.learn.objective import Whole
from breviary.model import adapt
from tests.learn.terms.contrasted import SIX, Make, broken, gradients, woken
from tests.weights import assert_same

STAYS = ("contrastive.known", "contrastive.left.connectivity", "contrastive.right.connectivity")


def test_an_empty_queue_is_none_and_a_filled_one_is_not(tiny: Any, make_contrastive: Make) -> None:
    model = woken(tiny).eval()
    plain, remembering = make_contrastive(pairs=3), make_contrastive(pairs=3, queue=2)
    assert torch.equal(plain.backward(0, model), remembering.backward(0, model))
    assert float(plain.backward(1, model)) < float(remembering.backward(1, model))
    assert remembering.buffers["contrastive.queue.count"].tolist() == [6]


def test_the_queue_is_no_longer_than_there_are_pairs(make_contrastive: Make) -> None:
    buffers = make_contrastive(queue=3000).buffers
    assert buffers["contrastive.queue.left"].shape == buffers["contrastive.queue.right"].shape == (6, 8)


def test_what_is_remembered_is_what_was_projected(tiny: Any, make_contrastive: Make) -> None:
    model, term = woken(tiny).eval(), make_contrastive(queue=6, pairs=3)
    term.report(model)
    centre = term.buffers["contrastive.left.centre"].clone()
    term.backward(0, model)
    drawn = pairings.draw(0, 6, 3, 17)
    assert term.buffers["contrastive.queue.pairs"].tolist() == [*drawn, 0, 0, 0]
    head = term.trained["contrastive.left"]
    with torch.no_grad():
        states = torch.cat([embed(model, [SIX[index].left], 258) for index in drawn])
        torch.testing.assert_close(
            term.buffers["contrastive.queue.left"][:3], crossclr.project(states, centre, head), rtol=1e-4, atol=1e-5
        )


def test_the_centre_follows_the_steps(tiny: Any, make_contrastive: Make) -> None:
    """What training adds to all states alike must not fill the projections."""
    model, term = tiny.adapted(), make_contrastive(pairs=6, micro_batch=12)
    term.report(model)
    name = "contrastive.right.centre"
    first = term.buffers[name].clone()
    with torch.no_grad():
        torch.testing.assert_close(first, torch.cat([embed(model, [twin.right], 258) for twin in SIX]).mean(0))
    model.base_model.model.model.norm.weight.data.mul_(3)
    term.backward(0, model)
    torch.testing.assert_close(term.buffers[name], 1.2 * first)


def test_the_start_is_measured_once_and_without_dropout(tiny: Any, make_contrastive: Make) -> None:
    model, term = woken(tiny, dropout=0.5), make_contrastive()
    term.backward(0, model)
    taken = {name: term.buffers[name].clone() for name in STAYS}
    quiet = make_contrastive()
    quiet.report(woken(tiny).eval())
    assert_same(taken, {name: quiet.buffers[name] for name in taken}, rtol=0, atol=0)
    for weight in adapt.trainable(model).values():
        weight.data.add_(1.0)
    term.backward(1, model)
    assert_same(taken, {name: term.buffers[name] for name in taken}, rtol=0, atol=0)
    assert term.buffers["contrastive.known"].tolist() == [1]
    assert float(taken["contrastive.left.connectivity"].max()) > 0


@pytest.mark.parametrize("queue", [0, 5])
def test_resuming_from_buffers_equals_going_on(queue: int, tiny: Any, make_contrastive: Make, tmp_path: Path) -> None:
    def train(model: Any, term: Whole, numbers: range) -> list[float]:
        values = []
        for number in numbers:
            values.append(float(term.backward(number, model)))
            for weight in (adapt.trainable(model) | dict(term.trained)).values():
                weight.data.sub_(0.1 * weight.grad)
                weight.grad = None
        return values

    model, term = woken(tiny, dropout=0.2), make_contrastive(queue=queue)
    expected = train(model, term, range(2))
    kept = {name: tensor.detach() for name, tensor in (adapt.trainable(model) | term.trained | term.buffers).items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in kept.items()}, tmp_path / "kept")
    expected += train(model, term, range(2, 5))

    again, resumed = tiny.adapted(dropout=0.2), make_contrastive(queue=queue)
    with torch.no_grad():
        for name, tensor in load_file(tmp_path / "kept").items():
            (adapt.trainable(again) | resumed.trained | resumed.buffers)[name].copy_(tensor)
    assert train(again, resumed, range(2, 5)) == expected[2:]
    assert_same(dict(term.buffers), dict(resumed.buffers), rtol=0, atol=0)
    assert_same(adapt.trainable(model) | term.trained, adapt.trainable(again) | resumed.trained, rtol=0, atol=0)


def test_what_is_not_finite_leaves_no_trace(tiny: Any, make_contrastive: Make) -> None:
    model, term = tiny.adapted(), make_contrastive(queue=6)
    term.backward(0, model)
    before, queued = gradients(model, term), term.buffers["contrastive.queue.left"].clone()
    assert math.isnan(float(term.backward(1, broken(model))))
    assert_same(before, gradients(model, term), rtol=0, atol=0)
    assert torch.equal(term.buffers["contrastive.queue.left"], queued)
    assert term.buffers["contrastive.queue.count"].tolist() == [3]
