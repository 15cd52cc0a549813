"""The terms and constraints of a phase, and the files that they are built on: read only if one asks for them."""

from pathlib import Path
from typing import Any

from accelerate import Accelerator

from breviary import artifacts
from breviary.data import views
from breviary.data.prompts import Prompter
from breviary.learn import anchors, companions, constrained, objective, subspace
from breviary.learn.anchors import Anchor
from breviary.learn.constrained import Constraint
from breviary.learn.curriculum import Options
from breviary.learn.objective import Given, Objective
from breviary.learn.start import BASE, adapter
from breviary.learn.subspace import Directions
from breviary.model import adapt, compute, resolve
from breviary.records import Example
from breviary.stage import Stage

PAIRS = Path("data/mixtures/pairs.jsonl")


def build(
    stage: Stage, options: Options, model: Any, accelerator: Accelerator, prompter: Prompter, previous: str | None
) -> tuple[Objective, dict[str, Constraint]]:
    """What this phase minimises, and what it keeps to. A file is read only if a term or a constraint asks for it."""
    weights = adapt.trainable(model)

    def protected(of: str) -> dict[str, Directions]:
        return subspace.load(of, previous, resolve.identity(BASE), stage.params.section("compute", compute.Options))

    held = constrained.build(options.constraints, weights, protected, f"{stage.name}.constraints")

    def anchor() -> Anchor:
        """Where the constraints will have put it: EWC must not pull a projected weight back."""
        found = anchors.load(anchors.folder(previous), weights)
        for constraint in held.values():
            found = Anchor(constraint.project(found.weights), found.fisher)
        return found

    given = Given(
        weights=weights,
        width=model.config.hidden_size,
        pad=prompter.tokenizer.pad,
        accelerator=accelerator,
        seed=stage.runtime.seed,
        anchor=anchor,
        twins=lambda most: views.twins(artifacts.read_records(PAIRS, Example), prompter, most),
        companions=companions.load(adapter(previous)) if previous else {},
    )
    return objective.build(options.terms, given, f"{stage.name}.terms"), held
