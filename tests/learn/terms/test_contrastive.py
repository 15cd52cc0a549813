"""The contrastive term on a real small model: where its gradient goes, what it reports, and what it refuses."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from breviary.data.views import Twin, View
from breviary.errors import ConfigError, TrainingError
from breviary.learn import crossclr, pairings
from breviary.learn.crossclr import Side
from breviary.learn.embedding import embed
from breviary.learn.terms import contrastive
from breviary.model import adapt
from tests.learn.terms.contrasted import SIX, Make, broken, gradients, options, twins, woken
from tests.weights import assert_same


def test_the_gradient_reaches_the_adapter_and_the_heads(tiny: Any, make_contrastive: Make) -> None:
    model, term = tiny.adapted(), make_contrastive()
    assert term.backward(0, model).isfinite()
    for name, gradient in gradients(model, term).items():
        assert gradient.isfinite().all()
        assert (float(gradient.abs().max()) > 0) is ("lora_A" not in name), name
    model, term = woken(tiny), make_contrastive()
    term.backward(0, model)
    assert all(float(gradient.abs().max()) > 0 for gradient in gradients(model, term).values())


TIED = twins((0, 0), (0, 1), (2, 2), (3, 3), (4, 4))  # the left one of the first two pairs is one document


@torch.no_grad()
def begun(model: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """For each side of the tied pairs the centre of its documents, and how well connected each pair's document is."""
    raw = {side: [embed(model, [getattr(twin, side)], 258)[0] for twin in TIED] for side in contrastive.SIDES}
    documents = {"left": [0, 2, 3, 4], "right": [0, 1, 2, 3, 4]}
    features = {side: torch.stack([raw[side][index] for index in rows]) for side, rows in documents.items()}
    centre = {side: each.mean(0) for side, each in features.items()}
    connected = {side: crossclr.connectivity(each - centre[side]) for side, each in features.items()}
    return centre, connected | {"left": connected["left"][[0, 0, 1, 2, 3]]}


@pytest.mark.parametrize("micro_batch", [1, 3, 100])
def test_value_and_gradient_are_those_of_one_graph(micro_batch: int, tiny: Any, make_contrastive: Make) -> None:
    """Everything written out once more with plain autograd, in float64, over two steps with a queue."""
    model, plain = woken(tiny, double=True), woken(tiny, double=True)
    term = make_contrastive(TIED, micro_batch=micro_batch, pairs=5, queue=5, weight=0.7)
    centre, connected = begun(plain)
    heads = {side: term.trained[f"contrastive.{side}"].detach().double().requires_grad_() for side in contrastive.SIDES}
    related = torch.eye(5, dtype=torch.bool)
    related[0, 1] = related[1, 0] = True
    past: dict[str, Tensor] = {side: torch.zeros(0, 8, dtype=torch.float64) for side in contrastive.SIDES}
    before: list[int] = []
    for number in (0, 1):
        order = pairings.draw(number, 5, 5, 17)
        sides, now = {}, {}
        for side in contrastive.SIDES:
            states = torch.cat([embed(plain, [getattr(TIED[index], side)], 258) for index in order])
            now[side] = torch.nn.functional.normalize((states - centre[side]) @ heads[side].T, dim=1)
            greatest = connected[side].max()
            share = connected[side][order] / connected[side][order].sum()
            sides[side] = Side(
                torch.cat([now[side], past[side]]),
                (connected[side] / greatest > 0.9)[[*order, *before]],
                (share / (0.0035 * 64 / 5)).softmax(0),
            )
        value = crossclr.crossclr(sides["left"], sides["right"], related[order][:, [*order, *before]], 0.03, 0.8)
        (0.7 * value).backward()
        with torch.no_grad():
            for side in contrastive.SIDES:
                states = torch.cat([embed(plain, [getattr(TIED[index], side)], 258) for index in order])
                centre[side] = 0.9 * centre[side] + 0.1 * states.mean(0)
        past, before = {side: each.detach() for side, each in now.items()}, order
        found = term.backward(number, model)
        assert float(found) == pytest.approx(float(value.detach()), rel=1e-5)  # centre and queue are kept in fp32
    expected = {name: weight.grad for name, weight in adapt.trainable(plain).items()}
    expected |= {f"contrastive.{side}": head.grad.float() for side, head in heads.items()}
    assert_same(expected, gradients(model, term), rtol=1e-4, atol=1e-6)


def test_pieces_change_neither_value_nor_gradient(tiny: Any, make_contrastive: Make) -> None:
    results = []
    for micro_batch in (1, 2, 3, 8):
        model, term = woken(tiny, double=True), make_contrastive(micro_batch=micro_batch)
        results.append((term.backward(0, model), gradients(model, term)))
    for value, found in results[1:]:
        torch.testing.assert_close(value, results[0][0])
        assert_same(results[0][1], found, rtol=1e-5, atol=1e-8)


def test_with_dropout_a_step_is_the_same_whatever_was_drawn_before(tiny: Any, make_contrastive: Make) -> None:
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model, term = woken(tiny, dropout=0.4), make_contrastive()
        found.append((term.backward(2, model), gradients(model, term)))
    assert_same(found[0][1], found[1][1], rtol=0, atol=0)
    assert torch.equal(found[0][0], found[1][0])


def test_the_weighted_gradient_is_added_to_what_is_there(tiny: Any, make_contrastive: Make) -> None:
    found = []
    for weight, times in ((1.0, 1), (1.5, 2)):
        model, term = (
            woken(tiny, double=True),
            make_contrastive(weight=weight, pairs=6),
        )  # all: the centre stays where it is
        values = [term.backward(0, model) for _ in range(times)]
        torch.testing.assert_close(values[0], values[-1], rtol=1e-5, atol=0)
        found.append((values[0], gradients(model, term)))
    assert torch.equal(found[0][0], found[1][0])
    assert_same({name: 3 * each for name, each in found[0][1].items()}, found[1][1], rtol=1e-3, atol=1e-6)


def test_a_gradient_that_is_not_finite_is_left_out_too(
    tiny: Any, make_contrastive: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rooted(left: Side, right: Side, *_: Any) -> Tensor:
        """The square root of zero: 0, with an infinite slope."""
        return (left.candidates - left.candidates.clone() + 0 * right.candidates).pow(0.5).sum()

    model, term = tiny.adapted(), make_contrastive()
    monkeypatch.setattr(crossclr, "crossclr", rooted)
    assert math.isnan(float(term.backward(0, model)))
    assert all(weight.grad is None for weight in (adapt.trainable(model) | dict(term.trained)).values())


def test_a_start_that_is_not_finite_names_the_documents(tiny: Any, make_contrastive: Make) -> None:
    with pytest.raises(TrainingError, match=r"document l0: its hidden states are not finite\n(.*\n)*.*precision: fp32"):
        make_contrastive().backward(0, broken(tiny.adapted()))


def test_both_heads_begin_as_one_projection_that_the_seed_decides(make_contrastive: Make, make_given: Any) -> None:
    one, other = make_contrastive(), make_contrastive()
    assert sorted(one.trained) == ["contrastive.left", "contrastive.right"]
    left, right = one.trained["contrastive.left"], one.trained["contrastive.right"]
    assert torch.equal(left, right) and left.data_ptr() != right.data_ptr()
    assert torch.equal(left, other.trained["contrastive.left"])
    reseeded = contrastive.build(options(), make_given(twins=lambda _: SIX, seed=18))
    assert not torch.equal(left, reseeded.trained["contrastive.left"])
    assert all(isinstance(head, torch.nn.Parameter) and head.dtype == torch.float32 for head in one.trained.values())


def test_heads_of_the_phase_before_go_on(make_contrastive: Make) -> None:
    before = {"contrastive.left": torch.randn(8, 64), "contrastive.right": torch.randn(8, 64), "other": torch.ones(1)}
    term = make_contrastive(companions=before)
    for name, head in term.trained.items():
        assert torch.equal(head, before[name]) and head.data_ptr() != before[name].data_ptr()


def test_heads_of_another_size_are_refused(make_contrastive: Make) -> None:
    before = {f"contrastive.{side}": torch.randn(4, 64) for side in contrastive.SIDES}
    with pytest.raises(
        ConfigError, match=r"dimensions=8 asks for heads of \(8, 64\), .* left contrastive.left: \(4, 6"
    ):
        make_contrastive(companions=before)


@pytest.mark.parametrize(
    "changes", [{"pairs": 1}, {"temperature": 0.0}, {"weighting": "on"}, {"prune_above": 1.1}, {"queue": -1}]
)
def test_options_are_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        options(**changes)


def test_the_report_changes_nothing_and_compares_true_pairs_with_shuffled(tiny: Any, make_contrastive: Make) -> None:
    same_texts = [Twin(twin.left, View(twin.right.document, twin.left.ids, twin.left.first)) for twin in SIX]
    model, term = woken(tiny, dropout=0.5), make_contrastive(same_texts)
    found = term.report(model)
    assert model.training and found == term.report(model)
    assert found["cosine_true"] == pytest.approx(1, abs=1e-5) and found["pooled_cosine_true"] == pytest.approx(
        1, abs=1e-5
    )
    shuffled = -1 / 5  # roughly, of centred vectors
    assert found["pooled_cosine_shuffled"] == pytest.approx(shuffled, abs=0.1)
    for kind in ("", "pooled_"):
        assert found[f"{kind}cosine_gap"] == found[f"{kind}cosine_true"] - found[f"{kind}cosine_shuffled"]
    assert len(found) == 6


def test_the_adapter_alone_learns_which_texts_belong_together(tiny: Any, make_contrastive: Make) -> None:
    """The heads stay as they are, so that the model itself must have moved."""
    torch.manual_seed(0)
    model, term = tiny.adapted(rank=8), make_contrastive(pairs=6, micro_batch=12)
    before = term.report(model)
    adam = torch.optim.Adam(adapt.trainable(model).values(), lr=1e-2)
    values = []
    for number in range(25):
        values.append(float(term.backward(number, model)))
        adam.step()
        adam.zero_grad()
    after = term.report(model)
    assert values[-1] < values[0] / 3
    assert after["cosine_gap"] > before["cosine_gap"] + 0.3
    assert after["pooled_cosine_gap"] > before["pooled_cosine_gap"] + 0.3
