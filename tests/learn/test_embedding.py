"""Pooled states: what is averaged, and that pieces, caching and dropout change nothing."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from breviary.data.views import View
from breviary.learn.embedding import Reader, embed, share
from breviary.model import adapt
from tests.weights import wake

PREFIX = [10, 11, 12]


def make_views(count: int, seed: int = 0) -> list[View]:
    draw = random.Random(seed)
    texts = [[draw.randrange(256) for _ in range(draw.randint(1, 20))] for _ in range(count)]
    return [View(f"d{index}", PREFIX + text, len(PREFIX)) for index, text in enumerate(texts)]


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in adapt.trainable(model).items()}


def test_the_mean_is_over_the_document_alone(tiny: Any) -> None:
    model = tiny.model().double().eval()
    view = make_views(1)[0]
    with torch.no_grad():
        output = model.model(input_ids=torch.tensor([view.ids]))
        expected = output.last_hidden_state[0, len(PREFIX) :].mean(0)
        torch.testing.assert_close(embed(model, [view], 258)[0], expected)
        every = output.last_hidden_state[0].mean(0)
    assert not torch.allclose(expected, every)


def test_neither_padding_nor_its_token_changes_anything(tiny: Any) -> None:
    model, views = tiny.model().double().eval(), make_views(6)
    with torch.no_grad():
        alone = torch.cat([embed(model, [view], 258) for view in views])
        torch.testing.assert_close(embed(model, views, 258), alone)
        torch.testing.assert_close(embed(model, views, 0), alone)


def test_states_of_a_half_precision_model_are_averaged_in_fp32(tiny: Any) -> None:
    assert embed(tiny.model().bfloat16(), make_views(2), 258).dtype == torch.float32


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pieces_change_nothing(size: int, tiny: Any, accelerator: Any) -> None:
    model, views = tiny.adapted(double=True), make_views(7)
    whole = Reader(accelerator, 258, 100).states(model, views)
    torch.testing.assert_close(Reader(accelerator, 258, size).states(model, views), whole)
    assert not whole.requires_grad


def test_states_are_read_without_dropout_and_leave_the_mode_as_it_was(tiny: Any, accelerator: Any) -> None:
    model, views = wake(tiny.adapted(dropout=0.5), seed=5), make_views(4)
    reader = Reader(accelerator, 258, 2)
    first = reader.states(model, views)
    assert model.training
    torch.testing.assert_close(reader.states(model, views), first, rtol=0, atol=0)
    reader.states(model.eval(), views)
    assert not model.training


def loss(states: Tensor) -> Tensor:
    """Of all texts at once: no piece could compute it alone."""
    return torch.nn.functional.normalize(states, dim=1).cumsum(0).pow(3).sum()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_caching_gives_the_gradient_of_one_large_graph(
    size: int, dropout: float, tiny: Any, accelerator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout the graph is put together piece by piece, with the masks that the pieces draw."""
    model, views = wake(tiny.adapted(double=True, dropout=dropout), seed=5), make_views(7)
    reader = Reader(accelerator, 258, size)
    read, spread = reader.cached(model, views, "s")
    spread(torch.autograd.grad(loss(read.requires_grad_()), read)[0])
    cached = gradients(model)
    model.zero_grad()

    graph: dict[int, Tensor] = {}
    original = Reader._read

    def kept(self: Reader, model: Any, views: list[View], piece: Any) -> Tensor:
        with torch.enable_grad():
            states = original(self, model, views, piece)
            graph.update({row: states[index] for index, row in enumerate(piece.rows)})
        return states

    monkeypatch.setattr(Reader, "_read", kept)
    reader.cached(model, views, "s")
    plain = torch.stack([graph[row] for row in range(len(views))])
    torch.testing.assert_close(plain.detach(), read.detach(), rtol=0, atol=0)
    loss(plain).backward()
    found = gradients(model)
    for name, expected in found.items():
        torch.testing.assert_close(cached[name], expected, msg=name)
        assert expected.abs().max() > 0, name


def test_the_second_reading_draws_the_masks_of_the_first(tiny: Any, accelerator: Any) -> None:
    model, views = wake(tiny.adapted(dropout=0.5), seed=5), make_views(5)
    seen: list[Tensor] = []
    handle = model.register_forward_hook(lambda _, __, output: seen.append(output.hidden_states[-1].detach()))
    read, spread = Reader(accelerator, 258, 2).cached(model, views, "s")
    spread(torch.ones_like(read))
    handle.remove()
    assert len(seen) == 6
    for first, second in zip(seen[:3], seen[3:], strict=True):
        assert torch.equal(first, second)
    again, _ = Reader(accelerator, 258, 2).cached(model, views, "s")
    other, _ = Reader(accelerator, 258, 2).cached(model, views, "t")
    assert torch.equal(again, read.detach()) and not torch.equal(other, read.detach())


def test_what_fits_into_one_pass_is_read_once(tiny: Any, accelerator: Any) -> None:
    model, passes = tiny.adapted(), []
    model.register_forward_hook(lambda *_: passes.append(1))
    read, spread = Reader(accelerator, 258, 5).cached(model, make_views(5), "s")
    spread(torch.ones_like(read))
    assert len(passes) == 1


def test_other_terms_draw_what_they_would_without_it(tiny: Any, accelerator: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    read, spread = Reader(accelerator, 258, 2).cached(tiny.adapted(dropout=0.5), make_views(5), "s")
    spread(torch.ones_like(read))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize(("processes", "texts", "size"), [(1, 5, 2), (2, 5, 2), (2, 4, 2), (3, 2, 2), (4, 9, 2)])
def test_every_process_has_as_many_pieces_and_every_text_counts_once(processes: int, texts: int, size: int) -> None:
    views = make_views(texts)
    shares = [share(views, size, process, processes) for process in range(processes)]
    assert len({len(pieces) for pieces in shares}) == 1
    counted = [row for pieces in shares for piece in pieces if piece.counts for row in piece.rows]
    assert sorted(counted) == list(range(texts))
    alone = {piece.number: piece.rows for piece in share(views, size, 0, 1)}
    assert all(alone[piece.number] == piece.rows for pieces in shares for piece in pieces)


def test_activation_checkpointing_changes_no_gradient(tiny: Any, accelerator: Any) -> None:
    """What is computed again draws the same masks again."""
    found = []
    for checkpointing in (False, True):
        model = wake(tiny.adapted(double=True, dropout=0.3), seed=5)
        if checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
            model.enable_input_require_grads()
        read, spread = Reader(accelerator, 258, 2).cached(model, make_views(5), "s")
        spread(torch.autograd.grad(loss(read.requires_grad_()), read)[0])
        found.append(gradients(model))
    for name, expected in found[0].items():
        torch.testing.assert_close(found[1][name], expected, msg=name)
