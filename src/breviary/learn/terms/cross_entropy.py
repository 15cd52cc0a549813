"""Next-token cross-entropy over the summary, in nats a token.

    -1/n sum_t w_t log p(target_t | everything before it)

w_t is 1 but where examples count unequally (distillation, docs/DISTILLATION.md); it is 1 on average over all examples,
and n is the number of targets and not the sum of w, so that the gradient does not depend on `micro_batch`.

The logits come already shifted and only where a label is (`Step`), so there is nothing here to get wrong by one.
"""

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from breviary import config
from breviary.learn.forward import Step
from breviary.learn.objective import Given, Term
from breviary.learn.surprise import surprise


class Options(config.Options):
    """Its weight in the sum of terms."""

    weight: float = Field(default=1.0, gt=0)


def build(options: Options, given: Given) -> Term:
    """The term; it needs nothing but the step."""
    return term


def term(step: Step) -> Float[Tensor, ""]:
    """Mean negative log-likelihood of the targets."""
    each = surprise(step.logits, step.targets)
    return (each if step.weights is None else step.weights * each).mean()
