"""How a finished phase is measured for the phases after it, as params.yaml describes it. Light: all stages check it."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from breviary import config
from breviary.errors import ConfigError


class Options(config.Options):
    """Sections `fisher_phase1` and `fisher_phase2`."""

    examples: int = Field(default=48, ge=1)  # at most so many distinct ones of the phase's mixture
    merge: Literal["none", "online", "sum"] = "sum"  # with the anchor of the phase before
    decay: float = Field(default=0.9, gt=0, le=1)  # of the earlier Fisher, with merge: online
    gradient_checkpointing: bool = False  # less memory for about a third more time
    max_nonfinite_share: float = Field(default=0.05, ge=0, le=1)  # of the examples


def check(sections: Mapping[str, Options]) -> None:
    """Raise ConfigError where the first of `sections`, by name, would merge: no phase has come before it."""
    first = min(sections, default=None)
    if first is not None and sections[first].merge != "none":
        raise ConfigError(
            f"params.yaml: {first}.merge: '{sections[first].merge}' needs the anchor of an earlier phase, and the "
            "first phase has none; write 'none'"
        )
