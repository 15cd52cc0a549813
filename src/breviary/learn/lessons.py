"""What a student learns from: the teacher's texts, with its expectations where they can be compared, as rows.

Retrieval dropout: in each epoch each example is shown without its related passages with probability p, so that the
student learns to write, from the passage alone, what the teacher wrote knowing more. The draw depends on seed, epoch
and example alone, whatever the order.

An example counts by how much of its target its source supports, scaled so that a target counts 1 on average:

    weight_i = support_i sum_j n_j / sum_j support_j n_j        n_j: targets of example j
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from breviary.data.batches import Row, Taught
from breviary.errors import DataError


@dataclass(frozen=True)
class Lesson:
    """One passage of a training document, and what the teacher made of it."""

    id: str  # of the passage
    document: str
    seen: list[int]  # the prompt with related passages, in the student's tokens
    alone: list[int]  # the prompt without
    target: list[int]
    support: float  # 0 to 1
    taught: Taught | None = None


def rows(lessons: Sequence[Lesson]) -> list[Row]:
    """The lessons as rows, with related passages. Raises DataError where no source supports its target."""
    targets = sum(len(lesson.target) for lesson in lessons)
    supported = sum(lesson.support * len(lesson.target) for lesson in lessons)
    if not supported:
        raise DataError(f"of {len(lessons)} summaries by the teacher, none has one word of its source; see its texts")
    scale = targets / supported
    return [
        Row(each.id, each.seen, each.target, taught=each.taught, weight=_one(each.support * scale)) for each in lessons
    ]


def _one(weight: float) -> float:
    """Equal weights are 1 exactly, whatever was divided."""
    return 1.0 if abs(weight - 1) < 1e-12 else weight


def dropped(lessons: Sequence[Lesson], share: float, seed: int) -> Callable[[Row, int], Row]:
    """What an epoch makes of a row: with probability `share` its related passages are left out."""
    alone = {lesson.id: lesson.alone for lesson in lessons}

    def shown(row: Row, epoch: int) -> Row:
        without = random.Random(f"{seed}/{epoch}/{row.example}").random() < share
        return replace(row, prompt=alone[row.example]) if without else row

    return shown
