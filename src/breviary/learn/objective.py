"""What training minimises: a weighted sum of named terms, each a function of one step.

A term reads what one forward pass produced and returns a scalar. It holds no model, knows no other term, and does not
multiply itself by its weight. Terms run in fp32 outside autocast; one that is not finite is left out of that
micro-batch alone, so that a single bad term never destroys the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from pydantic import ValidationError
from torch import Tensor

from breviary import catalogue
from breviary.errors import ConfigError
from breviary.learn.curriculum import TERMS

Scalar = Float[Tensor, ""]


@dataclass(frozen=True)
class Step:
    """What one forward pass produced, at the positions that carry a label. Terms read it; nothing writes it."""

    logits: Float[Tensor, "targets vocab"]  # fp32, already shifted: row i predicts targets[i]
    targets: Int[Tensor, " targets"]


Term = Callable[[Step], Scalar]
Terms = Mapping[str, tuple[float, Term]]  # name -> (weight, term)


def build(specs: Mapping[str, Mapping[str, Any]], where: str = "terms") -> Terms:
    """One weighted term for each kind in `specs`, which stand at `where` in params.yaml.

    Raises ConfigError with all that is wrong with their options.
    """
    terms, problems = {}, []
    for kind in sorted(specs):
        module = catalogue.resolve(TERMS, kind)
        try:
            options = module.Options.model_validate(dict(specs[kind]))
        except ValidationError as error:
            problems += [f"{'.'.join([where, kind, *map(str, each['loc'])])}: {each['msg']}" for each in error.errors()]
            continue
        terms[kind] = (options.weight, module.build(options))
    if problems:
        raise ConfigError("\n".join(problems))
    return terms


def total(terms: Terms, step: Step) -> tuple[Scalar, dict[str, Tensor], list[str]]:
    """The loss to differentiate, the value of each finite term (unweighted, detached), and the names of the others."""
    with torch.autocast(step.logits.device.type, enabled=False):
        values = {name: term(step) for name, (_, term) in terms.items()}
    finite = {name: value for name, value in values.items() if torch.isfinite(value.detach())}
    nothing = step.logits[:0].sum()  # zero, with a gradient: a process whose terms are all lost still has one to share
    loss = sum((terms[name][0] * value for name, value in finite.items()), nothing)
    return loss, {name: value.detach() for name, value in finite.items()}, sorted(values.keys() - finite.keys())
