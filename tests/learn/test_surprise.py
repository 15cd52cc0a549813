"""Negative log-likelihood in chunks: the library's own is the reference."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from breviary.learn import surprise as module
from breviary.learn.surprise import CHUNK, surprise


def drawn(
    targets: int, vocab: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = (5 * torch.randn(targets, vocab, generator=generator, dtype=torch.float64)).to(dtype).requires_grad_()
    return logits, torch.randint(vocab, (targets,), generator=generator)


@given(st.integers(0, 3 * CHUNK), st.integers(1, 40), st.integers(0, 2**32))
def test_value_and_gradient_are_those_of_cross_entropy(targets: int, vocab: int, seed: int) -> None:
    logits, labels = drawn(targets, vocab, seed)
    slope = torch.rand(targets, dtype=torch.float64)
    ours, theirs = surprise(logits, labels), F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    (mine,) = torch.autograd.grad(ours, logits, slope)
    (other,) = torch.autograd.grad(theirs, logits, slope)
    torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_the_gradient_is_the_slope_of_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    logits, labels = drawn(5, 7)
    assert torch.autograd.gradcheck(lambda given: surprise(given, labels), logits)


def test_fp32_is_as_exact_as_the_library_and_far_logits_stay_finite() -> None:
    logits, labels = drawn(200, 1000, dtype=torch.float32)
    exact = F.cross_entropy(logits.double(), labels, reduction="none")
    assert (surprise(logits, labels) - exact).abs().max() <= 4e-6
    far = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    value = surprise(far, torch.tensor([1]))
    assert value.item() == 2e4
    value.sum().backward()
    assert far.grad is not None and far.grad.tolist() == [[1.0, -1.0, 0.0]]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_not_hidden(bad: float) -> None:
    logits, labels = drawn(3, 5)
    with torch.no_grad():
        logits[1, 2] = bad
    assert surprise(logits, labels).isfinite().tolist() == [True, False, True]


def test_nothing_of_the_vocabulary_s_size_is_kept_but_the_logits() -> None:
    logits, labels = drawn(100, 50)
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):
        surprise(logits, labels)
    assert [each.data_ptr() for each in kept if each.numel() >= logits.numel()] == [logits.data_ptr()]
