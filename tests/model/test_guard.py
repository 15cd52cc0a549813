"""The clock starts at the request, no token is begun that cannot be finished, and 0 ms is an answer."""

import math
from typing import Any

import pytest
import torch

from breviary.data.prompts import Prompt
from breviary.errors import BudgetError
from breviary.model import limit
from breviary.model.generate import generate
from breviary.model.guard import Guard

PROMPTS = [Prompt(list(b"a text about bees"), False), Prompt(list(b"another"), False)]
IDS = torch.zeros(2, 5, dtype=torch.long)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds

    def pass_ms(self, ms: float) -> None:
        self.seconds += ms / 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


def slowed(model: Any, clock: Clock, prefill: float, *steps: float) -> Any:
    """`model`, whose forward passes take these milliseconds on `clock`, the last of them for ever."""
    taken = iter([prefill, *steps])
    plain, last = model.forward, steps[-1]

    def forward(*args: Any, **more: Any) -> Any:
        clock.pass_ms(next(taken, last))
        return plain(*args, **more)

    model.forward = forward
    return model


def written(model: Any, tiny: Any, guard: Guard | None, **settings: Any) -> list[int]:
    """How many tokens of each text."""
    asked = {"max_new_tokens": 50, "min_new_tokens": 50, "do_sample": False} | settings
    return [made.tokens for made in generate(model, tiny.tokenizer, PROMPTS, asked, watch=guard)]


def test_the_clock_starts_at_the_request(tiny: Any, clock: Clock) -> None:
    asked = limit.start(101, clock=clock)
    clock.pass_ms(60)  # reading the document, say
    assert (asked.spent_ms, asked.left_ms) == (pytest.approx(60), pytest.approx(41))
    assert written(slowed(tiny.model(), clock, 20, 5), tiny, Guard(asked)) == [5, 5]  # 60 + 20 + 4 * 5
    assert asked.left_ms == pytest.approx(1)
    late = limit.start(101, clock=clock)
    assert written(slowed(tiny.model(), clock, 20, 5), tiny, Guard(late)) == [17, 17]


@pytest.mark.parametrize("beams", [1, 3])
def test_no_token_is_begun_that_cannot_be_finished(tiny: Any, clock: Clock, beams: int) -> None:
    asked = limit.start(100, clock=clock)
    assert written(slowed(tiny.model(), clock, 20, 30), tiny, Guard(asked), num_beams=beams) == [3, 3]
    assert asked.left_ms == pytest.approx(20)


def test_the_overrun_is_below_one_token(tiny: Any, clock: Clock) -> None:
    asked = limit.start(100, clock=clock)
    written(slowed(tiny.model(), clock, 20, 10, 10, 10, 10, 10, 90), tiny, Guard(asked))
    assert 0 > asked.left_ms > -90
    slow = limit.start(100, clock=clock)
    assert written(slowed(tiny.model(), clock, 500, 10), tiny, Guard(slow)) == [1, 1]  # a prompt is read in one step


def test_nobody_waits_any_more(tiny: Any, clock: Clock) -> None:
    asked = limit.start(None, lambda: clock.seconds > 100.2, clock)
    assert asked.left_ms == math.inf
    assert written(slowed(tiny.model(), clock, 20, 50), tiny, Guard(asked)) == [5, 5]


def test_without_a_limit_all_is_written(tiny: Any, clock: Clock) -> None:
    assert written(slowed(tiny.model(), clock, 20, 1000), tiny, Guard(limit.start(clock=clock))) == [50, 50]


@pytest.mark.parametrize("ms", [0, 1, -5])
def test_time_that_is_over_is_said_before_the_model_is_asked(clock: Clock, ms: int) -> None:
    asked = limit.start(ms, clock=clock)
    clock.pass_ms(3)
    message = rf"the time was over {3 - ms} ms before the model could begin \(it was asked 3 ms before\); raise"
    with pytest.raises(BudgetError, match=message):
        Guard(asked)


def test_a_part_of_a_request_ends_earlier_and_never_later(clock: Clock) -> None:
    cancelled = lambda: True  # noqa: E731
    asked = limit.start(100, cancelled, clock)
    clock.pass_ms(10)
    assert asked.within(50).left_ms == pytest.approx(40)
    assert asked.within(500).left_ms == pytest.approx(90)
    assert asked.within(50).spent_ms == pytest.approx(10) and asked.within(50).cancelled is cancelled


def test_a_guard_looks_at_every_row(clock: Clock) -> None:
    guard = Guard(limit.start(10, clock=clock))
    assert guard(IDS, None).tolist() == [False, False]
    clock.pass_ms(10)
    assert guard(IDS, None).tolist() == [True, True]
