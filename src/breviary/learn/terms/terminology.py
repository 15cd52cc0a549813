"""Cross-entropy that counts the words of a lexicon more, in nats a token.

    L = sum_t w_t nll_t / sum_t w_t        w_t = 1 + emphasis * 1[target t is inside a term]

Terms are found in the summary as whole words (`data/lexicon.py`), and the marks stand at the same places as the targets
(`Step.marked`), so that the logits that a target is read from are those that predict it. With no term in a step this is
plain cross-entropy.

The sum of weights is that of a micro-batch, whose share of the step is counted in targets: unlike plain cross-entropy,
the result depends a little on `micro_batch` where terms are spread unevenly.

`cross_entropy` (weight a) stays beside this term (weight b). Both are means of the same nll_t, and so is their sum: of
n targets an unmarked one gets a/n + b/W and a marked one a/n + (1 + emphasis) b/W, with W = sum_t w_t. Together they
get a + b: a term of b = 0.5 beside a = 1 makes the whole loss half as large again, which AdamW hardly notices, but
penalties and clipping do (lower a by b to keep it). And a marked target counts more by less than `emphasis`: where few
are marked, by about emphasis * b / (a + b).
"""

from functools import partial

from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor

from breviary import config
from breviary.data import lexicon
from breviary.errors import ConfigError
from breviary.learn.forward import Step
from breviary.learn.objective import Given, Term
from breviary.learn.surprise import surprise


class Options(config.Options):
    """Its weight in the sum of terms, what a term counts beyond a plain word, and which words are terms."""

    weight: float = Field(default=1.0, gt=0)
    emphasis: float = Field(default=1.0, gt=0)
    words: list[str] = Field(min_length=1)  # the terms, of one word or several; the phase marks its rows with them

    @field_validator("words")
    @classmethod
    def _are_terms(cls, words: list[str]) -> list[str]:
        lexicon.require_terms(words)
        return words


def build(options: Options, given: Given) -> Term:
    """The term; it needs nothing but the step."""
    return partial(term, emphasis=options.emphasis)


def term(step: Step, emphasis: float) -> Float[Tensor, ""]:
    """Weighted mean negative log-likelihood. Raises ConfigError where nobody marked the targets."""
    if step.marked is None:
        raise ConfigError("terms.terminology: the rows carry no marks; give `batches.rows` the words of its options")
    each = surprise(step.logits, step.targets)
    weights = 1 + emphasis * step.marked.to(each.dtype)
    return (weights * each).sum() / weights.sum()
