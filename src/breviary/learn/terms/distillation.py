"""How far a student's expectations are from its teacher's, at every target of the teacher's text, in nats a token.

    L = T^2 / n sum_t w_t KL(p_t || q_t)        p: teacher, q: student, both softmax(logits / T)

Of the teacher its k likeliest tokens K are known and what is left for all others, r = 1 - sum_K p. Over these k + 1
outcomes, with s = 1 - sum_K q the student's own remainder,

    KL = sum_{i in K} p_i (log p_i - log q_i) + r (log r - log s)

which is 0 where student and teacher are equal, never above the divergence over the whole vocabulary (grouping outcomes
cannot raise it), and equal to it, value and gradient, where k is the vocabulary. Hinton et al. 2015, arXiv:1503.02531:
gradients of softened targets scale with 1/T^2, hence T^2. Together with `cross_entropy` on the same text, weighted
1 - w beside w here, it is their objective; the text being the teacher's own, that is sequence-level distillation (Kim &
Rush 2016, arXiv:1606.07947).

Positions are taken `CHUNK` at a time and computed once more for the backward pass, so that beside the step's logits and
their gradient no tensor has more than CHUNK x vocabulary entries, however long the texts are.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from breviary import config
from breviary.errors import ConfigError
from breviary.learn.forward import Step
from breviary.learn.objective import Given, Term

CHUNK = 128  # positions: 25 MB of fp32 with 49,152 words


class Options(config.Options):
    """Its weight in the sum of terms, and the temperature at which the teacher was asked."""

    weight: float = Field(default=0.5, gt=0)
    temperature: float = Field(default=2.0, gt=0)


def build(options: Options, given: Given) -> Term:
    """The term; it needs nothing but the step."""
    return partial(term, temperature=options.temperature)


def term(step: Step, temperature: float) -> Float[Tensor, ""]:
    """T^2 times the weighted mean divergence. Raises ConfigError where no teacher was asked about the targets."""
    if step.taught is None:
        raise ConfigError("terms.distillation: the examples carry no teacher's expectations; stage distill gives them")
    each = divergence(step.logits, step.taught.ids, step.taught.log_p, temperature)
    return temperature**2 * (each if step.weights is None else step.weights * each).mean()


def divergence(
    logits: Float[Tensor, "targets vocab"],
    ids: Int[Tensor, "targets k"],
    log_p: Float[Tensor, "targets k+1"],
    temperature: float,
    chunk: int = CHUNK,
) -> Float[Tensor, " targets"]:
    """KL(teacher || student) of each position, in nats; `log_p` is at `temperature`, its last column the remainder."""
    parts = zip(logits.split(chunk), ids.split(chunk), log_p.split(chunk), strict=True)
    return torch.cat([checkpoint(_divergence, *part, temperature, use_reentrant=False) for part in parts])


def _divergence(
    logits: Float[Tensor, "targets vocab"],
    ids: Int[Tensor, "targets k"],
    log_p: Float[Tensor, "targets k+1"],
    temperature: float,
) -> Float[Tensor, " targets"]:
    scaled = logits / temperature
    total = scaled.logsumexp(-1, keepdim=True)
    log_q = scaled.gather(1, ids) - total
    known = _weighed(log_p[:, :-1], log_q).sum(-1)
    if ids.shape[1] == logits.shape[1]:  # nothing is left over, and the logarithm of nothing has no gradient
        return known
    others = scaled.scatter(1, ids, -torch.inf).logsumexp(-1, keepdim=True) - total
    return known + _weighed(log_p[:, -1:], others).sum(-1)


def _weighed(log_p: Float[Tensor, "targets k"], log_q: Float[Tensor, "targets k"]) -> Float[Tensor, "targets k"]:
    """p (log p - log q), 0 where p is."""
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), 0)
