"""What one phase of the curriculum is, as params.yaml describes it. Light: every stage checks these sections.

A phase takes a mixture and the adapter of the phase before, and leaves an adapter. What is learned from which documents
is the mixture's affair (`mix`); what is added to the loss is said by `terms`, one key for each kind.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from breviary import catalogue, config
from breviary.errors import ConfigError

TERMS = "breviary.learn.terms"
CONSTRAINTS = "breviary.learn.constraints"


class Optimizer(config.Options):
    """AdamW and its LoRA+ grouping."""

    kind: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]
    lr: float = Field(gt=0, lt=1)  # of the A matrices
    loraplus_ratio: float = Field(ge=1)  # lr of the B matrices over lr of the A matrices
    weight_decay: float = Field(ge=0, lt=1)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)


class Schedule(config.Options):
    """How the learning rates rise and fall, as a share of their peak."""

    kind: Literal["cosine", "linear", "constant"]
    warmup_share: float = Field(ge=0, lt=1)  # of all steps


class Options(config.Options):
    """One phase."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)  # examples in one optimiser step
    micro_batch: int = Field(ge=1)  # examples in one forward pass
    optimizer: Optimizer
    schedule: Schedule
    max_grad_norm: float = Field(gt=0)
    gradient_checkpointing: bool
    terms: dict[str, dict[str, Any]]
    constraints: dict[str, dict[str, Any]] = Field(default={})
    validate_every: int = Field(ge=1)  # optimiser steps
    keep: Literal["best", "last"]  # the adapter with the lowest validation loss, or the one after the last step
    checkpoint_every: int = Field(ge=1)  # optimiser steps
    max_nonfinite_share: float = Field(ge=0, le=1)  # of steps, for each term

    @model_validator(mode="after")
    def _terms_exist(self) -> "Options":
        """Whether the kinds exist is checked here; their own options when they are built, since they import torch."""
        for name, package, chosen in (("terms", TERMS, self.terms), ("constraints", CONSTRAINTS, self.constraints)):
            for kind in chosen:
                if kind not in catalogue.kinds(package):
                    raise ConfigError(f"{name}.{kind}: {config.unknown_key(kind, catalogue.kinds(package))}")
        if "cross_entropy" not in self.terms:
            raise ConfigError("terms: cross_entropy is required, a phase learns nothing without it")
        if self.micro_batch > self.batch:
            raise ConfigError(f"micro_batch={self.micro_batch} exceeds batch={self.batch}")
        return self
