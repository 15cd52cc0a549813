"""Which mined pairs a contrastive step draws, and which of them say the same and are not set against each other."""

import math
import random
from collections.abc import Sequence
from typing import NoReturn

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from breviary.data.views import Twin
from breviary.errors import DataError


def draw(number: int, count: int, pairs: int, seed: int) -> list[int]:
    """The pairs of step `number`, from the number alone. Every epoch is another shuffle, dealt evenly to its steps."""
    epoch, turn = divmod(number, steps := math.ceil(count / pairs))
    return random.Random(f"{seed} contrastive {epoch}").sample(range(count), count)[turn::steps]


def relations(twins: Sequence[Twin]) -> Bool[Tensor, "pairs pairs"]:
    """Which pairs say the same: pair i and pair k, if the left document of one is paired with the right of the other.

    So are those that share a document, and each pair with itself.
    """
    left = _numbers([twin.left.document for twin in twins])
    right = _numbers([twin.right.document for twin in twins])
    partners = torch.zeros(len(twins), len(twins), dtype=torch.bool)  # a document's number is at most that of its pair
    partners[left, right] = True
    related = partners[left][:, right]
    return related | related.T


def _numbers(documents: Sequence[str]) -> Int[Tensor, " pairs"]:
    """The same number for the same document, from 0."""
    known = {document: number for number, document in enumerate(dict.fromkeys(documents))}
    return torch.tensor([known[document] for document in documents], dtype=torch.int64)


def refuse(twins: Sequence[Twin]) -> NoReturn:
    """Raise DataError, which says why the pairs offer no contrast."""
    remedy = "lower pairs.min_margin, or drop train_phaseN.terms.contrastive"
    if not twins:
        raise DataError(f"the pairs stage found no train pairs while contrastive is on; {remedy}")
    if len(twins) == 1:
        raise DataError(f"the pairs stage found 1 train pair, contrastive needs at least 2; {remedy}")
    raise DataError(f"all {len(twins)} train pairs share their documents: contrastive finds no negative; {remedy}")
