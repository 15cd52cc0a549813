"""What training minimises: a weighted sum of named terms.

Most are functions of one forward pass (`Step`), taken once a micro-batch and weighted by its share of the step's
targets. A term reads what the pass produced and returns a scalar: it holds no model, knows no other term, and does not
multiply itself by its weight. Terms run in fp32 outside autocast; one that is not finite is left out of that
micro-batch alone, so that a single bad term never destroys the others.

Some belong to the whole optimiser step (`Whole`), however many micro-batches it has: a penalty on the weights, which
has no forward pass, or a loss over pairs, which has forward passes of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from breviary import catalogue
from breviary.data.views import Twin
from breviary.learn.anchors import Anchor
from breviary.learn.curriculum import TERMS
from breviary.learn.forward import Step

Scalar = Float[Tensor, ""]


Term = Callable[[Step], Scalar]
Terms = Mapping[str, tuple[float, Term]]  # name -> (weight, term)


@dataclass(frozen=True)
class Whole:
    """A term of the whole optimiser step.

    `backward(number, model)` adds `weight` times its gradient to `.grad` and returns its value, unweighted; where that
    is not finite it adds nothing. Every process is to return the same value, and to leave a gradient of the adapter
    whose mean over processes is the right one (DDP averages), but the whole gradient of its own `trained` weights.
    """

    weight: float
    backward: Callable[[int, Any], Scalar]
    trained: Mapping[str, Tensor] = field(default_factory=dict)  # its own weights, trained beside the adapter
    buffers: Mapping[str, Tensor] = field(default_factory=dict)  # what else a resumed run needs; written in place
    report: Callable[[Any], dict[str, float]] = lambda model: {}  # what it says of the model, before and after a phase


@dataclass(frozen=True)
class Given:
    """What a phase offers to those who build its terms and constraints; each takes what it needs."""

    weights: Mapping[str, Tensor]  # the adapter's, by name; the tensors that are trained
    width: int  # of the backbone's hidden states
    pad: int  # the id of the padding token
    accelerator: Accelerator
    seed: int
    anchor: Callable[[], Anchor]  # where earlier phases left the weights, and how much each matters to them
    twins: Callable[[int], Sequence[Twin]]  # the mined train pairs, each document cut after so many tokens
    companions: Mapping[str, Tensor] = field(default_factory=dict)  # `trained` weights of the phase before, by name


@dataclass(frozen=True)
class Objective:
    """The terms of one phase, sorted by how often they are taken."""

    terms: Terms
    wholes: Mapping[str, Whole]

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights that terms train beside the adapter."""
        return {name: weight for whole in self.wholes.values() for name, weight in whole.trained.items()}

    @property
    def buffers(self) -> dict[str, Tensor]:
        """What else of the terms a resumed run needs."""
        return {name: buffer for whole in self.wholes.values() for name, buffer in whole.buffers.items()}


def check(specs: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise ConfigError with all that is wrong with the options of the terms in `specs`; nothing is built."""
    catalogue.validated(TERMS, specs, where)


def words(specs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The lexicon of all terms that have one: `Step.marked` says where its words are."""
    return sorted({word for options in specs.values() for word in options.get("words", [])})


def build(specs: Mapping[str, Mapping[str, Any]], given: Given, where: str = "terms") -> Objective:
    """One term for each kind in `specs`, which stand at `where` in params.yaml.

    Raises ConfigError with all that is wrong with their options.
    """
    chosen = catalogue.validated(TERMS, specs, where)
    built = {kind: catalogue.resolve(TERMS, kind).build(options, given) for kind, options in chosen.items()}
    return Objective(
        {kind: (chosen[kind].weight, term) for kind, term in built.items() if not isinstance(term, Whole)},
        {kind: term for kind, term in built.items() if isinstance(term, Whole)},
    )


def total(terms: Terms, step: Step) -> tuple[Scalar, dict[str, Tensor], list[str]]:
    """The loss to differentiate, the value of each finite term (unweighted, detached), and the names of the others.

    Where no term is finite the loss has no gradient.
    """
    with torch.autocast(step.logits.device.type, enabled=False):
        values = {name: term(step) for name, (_, term) in terms.items()}
    finite = {name: value for name, value in values.items() if torch.isfinite(value.detach())}
    loss = sum((terms[name][0] * value for name, value in finite.items()), torch.zeros((), device=step.logits.device))
    return loss, {name: value.detach() for name, value in finite.items()}, sorted(values.keys() - finite.keys())
