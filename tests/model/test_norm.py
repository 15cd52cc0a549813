"""The norm gives what transformers' own gives, and its gradient; it keeps its input in its own type."""

import pytest
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from breviary.model import norm

EPS = 1e-5


def given(kind: torch.dtype) -> tuple[LlamaRMSNorm, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    own = LlamaRMSNorm(32, EPS).requires_grad_(False)
    own.weight.copy_(torch.randn(32, generator=draw))
    x, slope = (torch.randn(2, 5, 32, generator=draw).to(kind) for _ in range(2))
    return own.to(kind), x.requires_grad_(), slope


@pytest.mark.parametrize(("kind", "rounding"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float16, 1e-3)])
def test_it_is_the_norm_of_the_library(kind: torch.dtype, rounding: float) -> None:
    own, x, slope = given(kind)
    ours, theirs = norm.apply(x, own.weight, EPS), own(x)
    assert ours.dtype == kind
    torch.testing.assert_close(ours, theirs, rtol=rounding, atol=rounding)
    (mine,), (known,) = (torch.autograd.grad(each, x, slope) for each in (ours, theirs))
    torch.testing.assert_close(mine, known, rtol=4 * rounding, atol=4 * rounding)


def test_its_gradient_is_that_of_the_formula() -> None:
    """In float64 by autograd, to the rounding of the fp32 that it computes in."""
    _, x, slope = given(torch.float64)
    weight = torch.linspace(-1, 2, 32, dtype=torch.float64)
    formula = weight * x / (x.pow(2).mean(-1, keepdim=True) + EPS).sqrt()
    (known,) = torch.autograd.grad(formula, x, slope)
    (mine,) = torch.autograd.grad(norm.apply(x, weight, EPS), x, slope)
    torch.testing.assert_close(mine, known, rtol=1e-5, atol=1e-6)


def test_no_wide_copy_is_kept() -> None:
    own, x, _ = given(torch.bfloat16)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda each: kept.append(each) or each, lambda each: each):
        norm.apply(x, own.weight, EPS)
    assert sum(each.numel() * each.element_size() for each in kept) == 2 * x.numel() + 2 * 32 + 4 * 10
