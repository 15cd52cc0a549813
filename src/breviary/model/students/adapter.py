"""The same backbone with a smaller adapter: as fast as the teacher, and less to store and to send."""

from typing import Literal

from pydantic import Field

from breviary import config
from breviary.errors import ConfigError
from breviary.model import adapt, depth
from breviary.model.student import Ground, Student


class Options(config.Options):
    """The size of the adapter; everything else of it is as in section `adapter`."""

    kind: Literal["adapter"]
    rank: int = Field(ge=1, le=1024)
    alpha: float = Field(gt=0)  # the update is scaled by alpha / rank


def build(options: Options, ground: Ground) -> Student:
    """A fresh adapter. Raises ConfigError where it would not be smaller than that of section `adapter`."""
    if options.rank >= ground.adapter.rank:
        raise ConfigError(
            f"distill.student.rank: {options.rank} is no smaller than adapter.rank={ground.adapter.rank}; lower it"
        )
    smaller = ground.adapter.model_copy(update={"rank": options.rank, "alpha": options.alpha})
    backbone = ground.backbone()
    layers = len(depth.stack(backbone))
    return Student(adapt.create(backbone, smaller, ground.seed), layers)
