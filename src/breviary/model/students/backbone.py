"""Another model by name, with a fresh adapter: smaller than the teacher, or of another family.

Where its tokenizer is not the teacher's, it learns from the teacher's text alone.
"""

from typing import Any, Literal

from breviary import catalogue, config
from breviary.model import adapt, depth
from breviary.model.resolve import BACKBONES
from breviary.model.student import Ground, Student


class Options(config.Options):
    """The model, as in section `backbone`."""

    kind: Literal["backbone"]
    backbone: catalogue.kind_of(BACKBONES)  # type: ignore[valid-type]


def build(options: Options, ground: Ground) -> Student:
    """A fresh adapter, as section `adapter` describes it, on the other backbone."""
    backbone: Any = ground.backbone()
    return Student(adapt.create(backbone, ground.adapter, ground.seed), len(depth.stack(backbone)))
