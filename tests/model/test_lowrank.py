"""Outputs and gradients of the fused product against autograd's own, in float64; dropout is a function of its seed."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from breviary.model import lowrank
from breviary.model.lowrank import Dropout, Frozen, Update

WIDE, SIZES, RANKS = 6, (5, 4), (2, 3)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layers(into: int = WIDE) -> tuple[list[Frozen], list[Tensor]]:
    weights = [drawn(size, into, seed=number) for number, size in enumerate(SIZES)]
    biases = [drawn(size, seed=9 + number) for number, size in enumerate(SIZES)]
    made = [
        Frozen(lambda x, w=weight, b=bias: functional.linear(x, w, b), lambda w=weight: w)
        for weight, bias in zip(weights, biases, strict=True)
    ]
    return made, [each for pair in zip(weights, biases, strict=True) for each in pair]


def updates() -> list[Update]:
    sizes = enumerate(zip(RANKS, SIZES, strict=True))
    return [
        Update(drawn(r, WIDE, seed=20 + n).requires_grad_(), drawn(out, r, seed=30 + n).requires_grad_(), 0.7 + n)
        for n, (r, out) in sizes
    ]


def expected(x: Tensor, dropout: Dropout) -> list[Tensor]:
    """The same by the formula, for autograd to differentiate."""
    _, known = layers()
    flat = x.reshape(-1, WIDE)
    mask = dropout.mask(flat)
    thin = x if mask is None else (flat * mask).view(x.shape)
    found = []
    for update, weight, bias in zip(UPDATES, known[::2], known[1::2], strict=True):
        found.append(x @ weight.T + bias + update.scaling * (thin @ update.a.T @ update.b.T))
    return found


UPDATES = updates()
FACTORS = [factor for update in UPDATES for factor in (update.a, update.b)]
DROPOUTS = [Dropout(0.0, 0), Dropout(0.3, 7)]


@pytest.mark.parametrize("dropout", DROPOUTS)
def test_outputs_and_gradients_are_those_of_the_formula(dropout: Dropout) -> None:
    made, _ = layers()
    x = drawn(2, 3, WIDE, seed=1).requires_grad_()
    slopes = [drawn(2, 3, size, seed=40 + size) for size in SIZES]
    ours, theirs = lowrank.apply(x, made, UPDATES, dropout), expected(x, dropout)
    for mine, known in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, known, rtol=1e-12, atol=1e-12)
    wanted = [x, *FACTORS]
    by_us, by_autograd = (torch.autograd.grad(outputs, wanted, slopes) for outputs in (ours, theirs))
    for mine, known in zip(by_us, by_autograd, strict=True):
        torch.testing.assert_close(mine, known, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dropout", DROPOUTS)
def test_the_gated_product_has_the_gradient_of_finite_differences(dropout: Dropout) -> None:
    made, _ = layers()
    gate, up = (drawn(3, WIDE, seed=seed).requires_grad_() for seed in (2, 3))
    update = UPDATES[0]

    def computed(gate: Tensor, up: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return lowrank.apply_gated(gate, up, made[0], Update(a, b, update.scaling), dropout)

    with torch.no_grad():
        (plain,) = lowrank.apply(functional.silu(gate) * up, made[:1], [update], dropout)
    torch.testing.assert_close(computed(gate, up, update.a, update.b), plain, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(computed, (gate, up, update.a, update.b))


def test_an_input_that_needs_no_gradient_gets_none() -> None:
    """The first layer's weight is not read again on the way back."""
    weight = drawn(5, WIDE, seed=0)

    def again() -> Tensor:
        raise AssertionError("nobody asked for this gradient")

    (found,) = lowrank.apply(
        drawn(3, WIDE, seed=1), [Frozen(lambda x: x @ weight.T, again)], UPDATES[:1], Dropout(0.0, 0)
    )
    found.sum().backward(inputs=FACTORS[:2])
    assert all(factor.grad is not None for factor in FACTORS[:2])


def test_a_mask_is_a_function_of_its_seed_and_keeps_the_mean() -> None:
    x = torch.ones(1000, 777)
    first, again, other = (Dropout(0.1, seed).mask(x) for seed in (5, 5, 6))
    assert first is not None and again is not None and other is not None
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert set(first.unique().tolist()) == {0.0, float(torch.tensor(65536 / (65536 - 6554)))}
    kept = first.gt(0).float()
    assert abs(float(kept.mean()) - 0.9) < 5 * (0.9 * 0.1 / x.numel()) ** 0.5  # five deviations of a binomial draw
    assert float(kept.mean(1).min()) > 0.8 and float(kept.mean(0).max()) < 1.0  # no row or column goes together


def test_a_rate_that_rounds_to_one_still_keeps_one_level() -> None:
    mask = Dropout(1 - 1e-9, 5).mask(torch.ones(1000, 777))
    assert mask is not None and set(mask.unique().tolist()) == {0.0, float(lowrank.LEVELS)}


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert lowrank.drawn(0.0) == Dropout(0.0, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert lowrank.drawn(0.5).seed != lowrank.drawn(0.5).seed


def test_the_input_is_kept_once() -> None:
    """For two layers that read it, with dropout: autograd alone keeps it twice, and two masks beside it."""
    made, _ = layers()
    x = drawn(64, WIDE, seed=1).requires_grad_()
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each.numel()) or each, lambda each: each):
        lowrank.apply(x, made, UPDATES, Dropout(0.3, 7))
    assert sum(kept) == x.numel() + 64 * sum(RANKS) + sum(factor.numel() for factor in FACTORS)
