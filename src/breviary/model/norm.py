"""Root-mean-square normalisation with frozen weights, which keeps its input once and in the input's own type.

    y = w * x r        r = (mean(x^2) + eps)^(-1/2), a row each        Zhang and Sennrich 2019, arXiv:1910.07467

    dx = r s - x r^3 mean(s x)        s = w * dy

In fp32 whatever x is in, and rounded to x's type before w multiplies, as transformers does it; autograd would keep up
to three fp32 copies of x.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def apply(x: Float[Tensor, "*rows width"], weight: Float[Tensor, " width"], eps: float) -> Float[Tensor, "*rows width"]:
    """`x` with rows of mean square 1, times `weight`, which gets no gradient."""
    return _Norm.apply(x, weight, eps)


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.to(torch.float32)
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (wide * scale).to(x.dtype) * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        wide = x.to(scale.dtype)
        slope = (slope * weight).to(scale.dtype)
        shared = (slope * wide).mean(-1, keepdim=True).mul_(scale**3)
        return slope.mul_(scale).sub_(wide * shared).to(x.dtype), None, None
