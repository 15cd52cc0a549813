"""CrossCLR against a naive version of the paper's formula, and where others found NaN."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from breviary.learn import crossclr
from breviary.learn.crossclr import Side

TAU, LAMBDA, GAMMA, KAPPA = 0.03, 0.8, 0.9, 0.0035


def unit(rows: int, width: int, seed: int) -> Tensor:
    made = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(made, dim=1)


def side(candidates: Tensor, connected: Tensor | None = None, *, pairs: int, above: float = GAMMA) -> Side:
    """With uniform weights and nothing pruned unless there is `connected`, of every candidate."""
    if connected is None:
        return Side(candidates, torch.zeros(len(candidates), dtype=torch.bool), torch.full((pairs,), 1 / pairs))
    influential = crossclr.influential(connected, above)
    return Side(candidates, influential, crossclr.proximity(connected[:pairs], KAPPA))


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def naive(
    left: Tensor, right: Tensor, connected: tuple[Tensor, Tensor], ids: list[tuple[int, int]], pairs: int, lam: float
) -> float:
    """The paper's formula in plain Python; the first `pairs` candidates are the step's, the others are the queue's."""
    total = 0.0
    for own, other, c, sides in ((left, right, connected[0], (0, 1)), (right, left, connected[1], (1, 0))):
        x, y, count = own.tolist(), other.tolist(), len(own)
        true = {(one[sides[0]], one[sides[1]]) for one in ids}
        pruned = [float(value) / float(c.max()) > GAMMA if float(c.max()) > 0 else False for value in c]
        mean = sum(float(value) for value in c[:pairs]) / pairs
        share = [float(value) / (pairs * mean) if mean > 0 else 0.0 for value in c[:pairs]]
        weights = [math.exp(value / (KAPPA * 64 / pairs)) for value in share]
        summed = 0.0
        for i in range(pairs):
            positive = below = math.exp(dot(x[i], y[i]) / TAU)
            for k in range(count):
                same = (ids[i][sides[0]], ids[k][sides[1]]) in true or (ids[k][sides[0]], ids[i][sides[1]]) in true
                if same or pruned[k]:
                    continue
                below += math.exp(dot(x[i], y[k]) / TAU) + lam * math.exp(dot(x[i], x[k]) / TAU)
            summed += weights[i] * -math.log(positive / below)
        total += summed / sum(weights) / 2
    return total


def related(ids: list[tuple[int, int]], pairs: int) -> Tensor:
    true = set(ids)
    table = [[(a, d) in true or (c, b) in true for c, d in ids] for a, b in ids[:pairs]]
    return torch.tensor(table)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_it_is_the_paper_s_formula(data: st.DataObject) -> None:
    pairs, queued = data.draw(st.integers(1, 6), "pairs"), data.draw(st.integers(0, 5), "queue")
    width, seed = data.draw(st.integers(2, 8), "width"), data.draw(st.integers(0, 999), "seed")
    lam = data.draw(st.sampled_from([0.0, 0.3, 0.8, 2.0]), "lambda")
    count = pairs + queued
    ids = data.draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=count, max_size=count), "ids")
    left, right = unit(count, width, seed), unit(count, width, seed + 1)
    connected = tuple(crossclr.connectivity(unit(count, 3, seed + extra)) for extra in (2, 3))
    found = crossclr.crossclr(
        side(left, connected[0], pairs=pairs),
        side(right, connected[1], pairs=pairs),
        related(ids, pairs),
        TAU,
        lam,
    )
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(naive(left, right, connected, ids, pairs, lam), rel=1e-9, abs=1e-12)


def test_orthogonal_pairs_have_a_closed_form() -> None:
    """Every positive has cosine 1 and every negative 0: log(1 + (1 + lambda) (B - 1) / e^(1 / tau))."""
    eye = torch.eye(5, dtype=torch.float64)
    both = side(eye, pairs=5)
    found = crossclr.crossclr(both, both, torch.eye(5, dtype=torch.bool), 0.5, LAMBDA)
    assert float(found) == pytest.approx(math.log(1 + (1 + LAMBDA) * 4 * math.exp(-2)))


def test_it_is_symmetric() -> None:
    left, right = side(unit(7, 4, 0), pairs=4), side(unit(7, 4, 1), pairs=4)
    table = torch.eye(4, 7, dtype=torch.bool)
    one, other = (crossclr.crossclr(*sides, table, TAU, LAMBDA) for sides in ((left, right), (right, left)))
    torch.testing.assert_close(one, other)


def test_lambda_zero_leaves_out_the_same_modality() -> None:
    """Not log 0: the value is that of the cross-modal softmax alone."""
    left, right = unit(4, 4, 0), unit(4, 4, 1)
    logits = left @ right.T / TAU
    truth = torch.arange(4)
    expected = sum(torch.nn.functional.cross_entropy(each, truth) for each in (logits, logits.T)) / 2
    table = torch.eye(4, dtype=torch.bool)
    found = crossclr.crossclr(side(left, pairs=4), side(right, pairs=4), table, TAU, 0.0)
    torch.testing.assert_close(found, expected)
    near = crossclr.crossclr(side(left, pairs=4), side(right, pairs=4), table, TAU, 1e-12)
    torch.testing.assert_close(near, expected)


def test_pruning_never_removes_the_positive() -> None:
    """All influential: nothing to contrast with, and the loss is 0 rather than the logarithm of nothing."""
    left, right = (unit(3, 4, seed).requires_grad_() for seed in (0, 1))
    weights, everything = torch.full((3,), 1 / 3), torch.ones(3, dtype=torch.bool)
    found = crossclr.crossclr(
        Side(left, everything, weights), Side(right, everything, weights), torch.eye(3, dtype=torch.bool), TAU, LAMBDA
    )
    found.backward()
    assert float(found.detach()) == 0
    assert torch.equal(left.grad, torch.zeros_like(left)) and torch.equal(right.grad, torch.zeros_like(right))


def test_weights_do_not_touch_negatives() -> None:
    """All weight on one pair: the loss is that pair's own, with its negatives as they are."""
    left, right = unit(4, 4, 0), unit(4, 4, 1)
    table, none = torch.eye(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    first = torch.tensor([1.0, 0.0, 0.0, 0.0])
    weighted = crossclr._direction(Side(left, none, first), Side(right, none, first), table, TAU, LAMBDA)
    own = crossclr._direction(Side(left, none, first[:1]), Side(right, none, first[:1]), table[:1], TAU, LAMBDA)
    torch.testing.assert_close(weighted, own)


def test_no_gradient_passes_through_weights() -> None:
    connected = torch.rand(3, requires_grad=True)
    assert not crossclr.proximity(connected, KAPPA).requires_grad
    weights = torch.full((2,), 0.5, requires_grad=True)
    both = Side(unit(2, 4, 0).requires_grad_(), torch.zeros(2, dtype=torch.bool), weights)
    crossclr.crossclr(both, both, torch.eye(2, dtype=torch.bool), TAU, LAMBDA).backward()
    assert weights.grad is None


def test_sixty_four_pairs_have_the_weights_of_the_paper_and_others_like_them() -> None:
    connected = torch.rand(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exponentials = ((connected / connected.sum()) / KAPPA).exp()
    torch.testing.assert_close(crossclr.proximity(connected, KAPPA), exponentials / exponentials.sum())
    few, many = torch.tensor([1.0, 1.2]), torch.tensor([1.0, 1.2]).repeat(50)
    ratio = crossclr.proximity(few, KAPPA)
    repeated = crossclr.proximity(many, KAPPA)
    assert float(ratio[1] / ratio[0]) == pytest.approx(float(repeated[1] / repeated[0]), rel=1e-4)


@pytest.mark.parametrize("connected", [[0.0, 0.0, 0.0], [-0.2, -0.1, -0.5], [1e-30, 1e-30, 1e-30]])
def test_where_nothing_is_connected_weights_are_finite(connected: list[float]) -> None:
    weights = crossclr.proximity(torch.tensor(connected), KAPPA)
    assert weights.isfinite().all() and float(weights.sum()) == pytest.approx(1)


@pytest.mark.parametrize("connected", [[0.0, 0.0], [-0.1, -0.01], [-1.0, 0.0]])
def test_where_nothing_is_connected_nothing_is_pruned(connected: list[float]) -> None:
    assert not crossclr.influential(torch.tensor(connected), GAMMA).any()


def test_what_is_above_gamma_is_pruned_and_the_greatest_always() -> None:
    connected = torch.tensor([0.1, 0.17, 0.19, 0.2])
    assert crossclr.influential(connected, 0.9).tolist() == [False, False, True, True]
    assert not crossclr.influential(connected, 1.0).any()


def test_connectivity_is_the_mean_of_positive_cosines_with_others() -> None:
    features = torch.tensor([[3.0, 0.0], [1.0, 1.0], [-2.0, 0.0]])
    root = math.sqrt(0.5)
    torch.testing.assert_close(crossclr.connectivity(features), torch.tensor([root / 2, root / 2, 0.0]))
    assert crossclr.connectivity(features[:1]).tolist() == [0.0]
    assert crossclr.connectivity(torch.zeros(3, 2)).tolist() == [0.0] * 3


def test_centred_states_of_one_direction_prune_some_and_not_all() -> None:
    """The trap: raw states are all alike, so that all would be influential; the mean of all cosines prunes none."""
    generator = torch.Generator().manual_seed(0)
    raw = 10 * torch.ones(40, 64) + torch.randn(40, 64, generator=generator) + torch.randn(1, 64, generator=generator)
    assert crossclr.influential(crossclr.connectivity(raw), GAMMA).all()
    centred = raw - raw.mean(0)
    unit_ = torch.nn.functional.normalize(centred, dim=1)
    mean = ((unit_ @ unit_.T).sum(1) - 1) / 39
    assert not crossclr.influential(mean, GAMMA).any()
    found = crossclr.influential(crossclr.connectivity(centred), GAMMA)
    assert 0 < int(found.sum()) < 20


INPUTS = {
    "random": lambda rows, generator: torch.randn(rows, 16, generator=generator),
    "identical": lambda rows, generator: torch.ones(rows, 16),
    "zero": lambda rows, generator: torch.zeros(rows, 16),
    "huge": lambda rows, generator: 1e4 * torch.randn(rows, 16, generator=generator),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", sorted(INPUTS))
@pytest.mark.parametrize("pairs", [1, 2, 3])
def test_values_and_gradients_are_finite(pairs: int, kind: str, dtype: torch.dtype) -> None:
    """Of a batch of 1, 2 or 3, all of which were NaN in the system that this follows."""
    generator = torch.Generator().manual_seed(0)
    states = [INPUTS[kind](pairs, generator).to(dtype).requires_grad_() for _ in range(2)]
    head = torch.randn(4, 16, generator=generator).requires_grad_()
    sides = []
    for each in states:
        projected = crossclr.project(each, torch.zeros(16), head)
        connected = crossclr.connectivity(each.detach())
        sides.append(side(projected, connected, pairs=pairs))
    found = crossclr.crossclr(*sides, torch.eye(pairs, dtype=torch.bool), TAU, LAMBDA)
    found.backward()
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    assert found.isfinite() and all(each.grad.isfinite().all() for each in (*states, head))
    assert float(found.detach()) >= -1e-6


def test_two_hundred_random_batches_are_finite() -> None:
    """Half of them anisotropic, as the states of a language model are."""
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        pairs, shift = 1 + seed % 5, 20.0 * (seed % 2)
        states = [(torch.randn(pairs, 16, generator=generator) + shift).requires_grad_() for _ in range(2)]
        head = torch.randn(4, 16, generator=generator)
        sides = [
            side(crossclr.project(each, torch.zeros(16), head), crossclr.connectivity(each.detach()), pairs=pairs)
            for each in states
        ]
        found = crossclr.crossclr(*sides, torch.eye(pairs, dtype=torch.bool), TAU, LAMBDA)
        found.backward()
        assert found.isfinite() and all(each.grad.isfinite().all() for each in states), seed


def test_the_queue_keeps_the_last_ones_in_a_ring() -> None:
    made = crossclr.queue(5, 2, torch.device("cpu"))
    assert made.filled == 0
    held = []
    for first in range(0, 12, 3):
        numbers = torch.arange(first, first + 3)
        values = numbers[:, None].float().expand(3, 2)
        made.put(values, -values, numbers)
        held = [*held, *numbers.tolist()][-5:]
        assert made.filled == len(held)
        assert sorted(made.pairs[: made.filled].tolist()) == held
        assert made.left[: made.filled, 0].tolist() == made.pairs[: made.filled].tolist()
        torch.testing.assert_close(made.left, -made.right)


def test_more_than_the_queue_holds_leaves_the_last() -> None:
    made = crossclr.queue(2, 1, torch.device("cpu"))
    for start in (0, 5):
        numbers = torch.arange(start, start + 5)
        made.put(numbers[:, None].float(), numbers[:, None].float(), numbers)
        assert sorted(made.pairs.tolist()) == [start + 3, start + 4]
    nothing = crossclr.queue(0, 1, torch.device("cpu"))
    nothing.put(torch.ones(3, 1), torch.ones(3, 1), torch.arange(3))
    assert nothing.filled == 0


def test_the_queue_holds_copies() -> None:
    made, values = crossclr.queue(2, 1, torch.device("cpu")), torch.ones(2, 1, requires_grad=True)
    made.put(values, values, torch.arange(2))
    with torch.no_grad():
        values.mul_(7)
    assert made.left.tolist() == [[1.0], [1.0]] and not made.left.requires_grad


def test_the_gap_is_between_true_and_unrelated_pairs() -> None:
    left = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    right = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    table = torch.eye(3, dtype=torch.bool)
    table[0, 1] = table[1, 0] = True
    root = math.sqrt(0.5)
    true, shuffled = (1 + 1 - root) / 3, (0 + -1 + root + root) / 4
    found = crossclr.gap(left, right, table)
    assert found == pytest.approx({"cosine_true": true, "cosine_shuffled": shuffled, "cosine_gap": true - shuffled})
