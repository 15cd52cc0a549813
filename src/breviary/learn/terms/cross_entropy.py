"""Next-token cross-entropy over the summary, in nats a token.

    -1/n sum_t log p(target_t | everything before it)

The logits come already shifted and only where a label is (`Step`), so there is nothing here to get wrong by one.
"""

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from breviary import config
from breviary.learn.forward import Step
from breviary.learn.objective import Given, Term


class Options(config.Options):
    """Its weight in the sum of terms."""

    weight: float = Field(default=1.0, gt=0)


def build(options: Options, given: Given) -> Term:
    """The term; it needs nothing but the step."""
    return term


def term(step: Step) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of the targets."""
    return F.cross_entropy(step.logits, step.targets)
