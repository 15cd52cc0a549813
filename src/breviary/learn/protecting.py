"""Which directions of which matrices are found for constraints to keep, as params.yaml describes it.

    base     of the backbone's weights: what it knew before it was fine-tuned (OPLoRA, arXiv:2510.13003)
    merged   of the weights with the adapter of a phase added: what the model knows after that phase
    update   of the adapter alone: what that phase itself changed

Light: every stage checks this section.
"""

from typing import Literal

from pydantic import Field

from breviary import config


class Options(config.Options):
    """How many directions of each matrix, and which matrices of a phase; those of the backbone are always found."""

    k: int = Field(default=16, ge=1)
    of: list[Literal["merged", "update"]] = Field(default=["update"], min_length=1)
