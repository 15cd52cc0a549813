"""How surprised a model is by each target: its negative log-likelihood, in nats.

    nats_t = log sum_v exp(z_tv) - z_t,target        dnats_t / dz_tv = softmax(z_t)_v - 1[v = target]

z are the largest tensor of a step, a vocabulary for each target. PyTorch's own cross-entropy keeps their log-softmax
beside them for the backward pass; here only the logarithm of each sum is kept, and everything else is made for `CHUNK`
targets at a time, so that beside z and its gradient no tensor has more than CHUNK x vocabulary entries.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 64  # targets: 12.6 MB of fp32 with 49,152 words


def surprise(logits: Float[Tensor, "targets vocab"], targets: Int[Tensor, " targets"]) -> Float[Tensor, " targets"]:
    """-log p(target) of each target, in nats and in the type of `logits`."""
    return _Surprise.apply(logits, targets)


class _Surprise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        sums = logits.new_empty(len(logits))
        for rows, total in zip(logits.split(CHUNK), sums.split(CHUNK), strict=True):
            torch.logsumexp(rows, -1, out=total)
        ctx.save_for_backward(logits, targets, sums)
        return sums - logits.gather(1, targets[:, None])[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        logits, targets, sums = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        parts = (each.split(CHUNK) for each in (gradient, logits, targets, sums, slope))
        for part, rows, target, total, by in zip(*parts, strict=True):
            torch.sub(rows, total[:, None], out=part).exp_()
            part.scatter_add_(1, target[:, None], part.new_full((len(part), 1), -1.0)).mul_(by[:, None])
        return gradient, None
