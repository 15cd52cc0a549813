"""What acts on the step that was taken, rather than on the loss: a constraint that the weights keep to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from breviary import catalogue
from breviary.learn.curriculum import CONSTRAINTS
from breviary.learn.subspace import Protected


@dataclass(frozen=True)
class Constraint:
    """One constraint on the adapter's weights, which it writes in place."""

    start: Callable[[], bool]  # bring the weights to where it holds; whether that changed what the model computes
    gradient: Callable[[], None]  # take out of `.grad` what a step must not have, so that Adam does not gather it
    retract: Callable[[], None]  # bring the weights back after a step: Adam rescales each coordinate
    project: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]  # other weights of the same names, as `start` would
    report: Callable[[], dict[str, float]]  # how well it holds
    details: Callable[[], dict[str, dict[str, float]]] = dict  # the same by module, where there is more to say


def check(specs: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise ConfigError with all that is wrong with the options of the constraints in `specs`; nothing is built."""
    catalogue.validated(CONSTRAINTS, specs, where)


def build(
    specs: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, Tensor],
    protected: Protected,
    where: str = "constraints",
) -> dict[str, Constraint]:
    """One constraint for each kind in `specs`, which stand at `where` in params.yaml."""
    chosen = catalogue.validated(CONSTRAINTS, specs, where)
    return {
        kind: catalogue.resolve(CONSTRAINTS, kind).build(options, weights, protected)
        for kind, options in chosen.items()
    }
