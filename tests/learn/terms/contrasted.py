"""What the contrastive term is tested on: pairs of random texts, its options, and a model that it moves."""

import math
import random
from collections.abc import Callable
from typing import Any

from torch import Tensor

from breviary.data.views import Twin, View
from breviary.learn.objective import Whole
from breviary.learn.terms.contrastive import Options
from breviary.model import adapt
from tests.weights import wake

PREFIX = [10, 11, 12]
Make = Callable[..., Whole]


def twins(*ids: tuple[int, int], seed: int = 0) -> list[Twin]:
    """Pairs of random texts; the same number is the same document."""

    def view(side: str, number: int) -> View:
        draw = random.Random(f"{seed} {side} {number}")
        return View(f"{side}{number}", PREFIX + [draw.randrange(256) for _ in range(draw.randint(1, 16))], len(PREFIX))

    return [Twin(view("l", left), view("r", right)) for left, right in ids]


SIX = twins(*((number, number) for number in range(6)))


def options(**changes: Any) -> Options:
    return Options.model_validate(
        {"weight": 1.0, "dimensions": 8, "pairs": 4, "micro_batch": 3, "max_tokens": 16} | changes
    )


def woken(tiny: Any, **changes: Any) -> Any:
    return wake(tiny.adapted(**changes), seed=5)


def gradients(model: Any, term: Whole) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in (adapt.trainable(model) | dict(term.trained)).items()}


def broken(model: Any) -> Any:
    model.get_input_embeddings().weight.data[:] = math.nan
    return model
