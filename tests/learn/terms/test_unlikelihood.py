"""Unlikelihood of what the summary has already said, against a plain loop in float64."""

import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from breviary.data import batches
from breviary.learn.forward import Step, forward
from breviary.learn.terms import unlikelihood

ROWS = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=7), min_size=1, max_size=3)
WINDOW = st.none() | st.integers(1, 8)


def step(rows: list[list[int]], seed: int = 0, vocab: int = 6, scale: float = 2.0) -> Step:
    targets = [target for row in rows for target in row]
    draw = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(len(targets), vocab, generator=draw, dtype=torch.float64)
    which = [index for index, row in enumerate(rows) for _ in row]
    return Step(logits.requires_grad_(), torch.tensor(targets), torch.tensor(which))


def naive(rows: list[list[int]], logits: Tensor, window: int | None) -> float:
    summed, place = 0.0, 0
    for row in rows:
        for index, target in enumerate(row):
            odds = [math.exp(value) for value in logits[place].tolist()]
            before = row[:index] if window is None else row[max(0, index - window) : index]
            for candidate in set(before) - {target}:
                summed -= math.log(max(1 - odds[candidate] / sum(odds), 1e-6))
            place += 1
    return summed / place


@given(ROWS, WINDOW, st.integers(0, 99))
def test_it_is_what_a_plain_loop_says(rows: list[list[int]], window: int | None, seed: int) -> None:
    made = step(rows, seed)
    expected = naive(rows, made.logits.detach(), window)
    assert float(unlikelihood.term(made, window).detach()) == pytest.approx(expected, rel=1e-10, abs=1e-12)
    single = Step(made.logits.detach().float(), made.targets, made.rows)
    assert float(unlikelihood.term(single, window)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_token_that_came_twice_counts_once_and_the_target_never() -> None:
    uniform = [[1, 1, 2, 1, 3]]
    made = Step(torch.zeros(5, 4, dtype=torch.float64), torch.tensor(uniform[0]), torch.zeros(5, dtype=torch.long))
    distinct = 0 + 0 + 1 + 1 + 2  # {} {1}-{1} {1}-{2} {1,2}-{1} {1,2}-{3}
    assert float(unlikelihood.term(made, None)) == pytest.approx(-distinct * math.log(3 / 4) / 5)
    recent = 0 + 0 + 1 + 1 + 1  # of the last token alone: {} {1}-{1} {1}-{2} {2}-{1} {1}-{3}
    assert float(unlikelihood.term(made, 1)) == pytest.approx(-recent * math.log(3 / 4) / 5)


@given(ROWS, WINDOW)
def test_rows_know_nothing_of_each_other(rows: list[list[int]], window: int | None) -> None:
    made = step(rows)
    summed, start = 0.0, 0
    for row in rows:
        own = slice(start, start + len(row))
        alone = Step(made.logits[own].detach(), made.targets[own], torch.zeros(len(row), dtype=torch.long))
        summed += len(row) * float(unlikelihood.term(alone, window))
        start += len(row)
    assert float(unlikelihood.term(made, window).detach()) == pytest.approx(summed / start, rel=1e-10, abs=1e-12)


def test_the_first_target_of_a_row_has_no_candidate(make_given: Any) -> None:
    made = step([[1], [2], [3]])
    value = unlikelihood.build(unlikelihood.Options(), make_given())(made)
    value.backward()
    assert float(value.detach()) == 0
    assert made.logits.grad is not None and not made.logits.grad.any()
    several = step([[1, 2], [3, 4]])
    unlikelihood.term(several, None).backward()
    assert several.logits.grad is not None
    assert several.logits.grad.any(1).tolist() == [False, True, False, True]


def test_its_gradient_lowers_what_has_been_said() -> None:
    made = step([[1, 2, 3]], scale=1.0)
    assert torch.autograd.gradcheck(
        lambda logits: unlikelihood.term(Step(logits, made.targets, made.rows), None), made.logits
    )
    unlikelihood.term(made, None).backward()
    assert made.logits.grad is not None
    last = made.logits.grad[2]
    assert (last > 0).tolist() == [False, True, True, False, False, False]


@pytest.mark.parametrize("confidence", [14.0, 20.0, 1e3, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certainty_of_a_repeat_is_finite(confidence: float, dtype: torch.dtype) -> None:
    logits = torch.zeros(2, 4, dtype=dtype)
    logits[1, 0] = confidence  # the model is sure of the token that it has just written; the target is another
    logits.requires_grad_()
    value = unlikelihood.term(Step(logits, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.long)), None)
    value.backward()
    expected = min(-math.log(1 - 1 / (1 + 3 * math.exp(-confidence))) if confidence < 30 else 99, -math.log(1e-6)) / 2
    assert float(value.detach()) == pytest.approx(expected, rel=0.02)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_no_logits_make_it_or_its_gradient_anything_but_finite() -> None:
    draw = random.Random(0)
    for seed in range(200):
        rows = [[draw.randrange(9) for _ in range(draw.randint(1, 12))] for _ in range(draw.randint(1, 3))]
        made = step(rows, seed, vocab=9, scale=10 ** draw.uniform(-2, 3))
        single = Step(made.logits.detach().float().requires_grad_(), made.targets, made.rows)
        value = unlikelihood.term(single, None)
        value.backward()
        assert torch.isfinite(value.detach())
        assert single.logits.grad is not None and torch.isfinite(single.logits.grad).all()


@torch.no_grad()
def test_it_reads_the_logits_that_predict_each_target(tiny: Any, make_rows: Any) -> None:
    """S1 read the logits one place too late."""
    model = tiny.adapted(double=True).eval()
    rows = make_rows(3, seed=5)
    made = forward(model, batches.collate(rows, tiny.tokenizer.pad))
    shifted, unshifted = [], []
    for row in rows:
        logits = model(input_ids=torch.tensor([row.prompt + row.target]), use_cache=False).logits[0]
        first = len(row.prompt)
        shifted.append(logits[first - 1 : first - 1 + len(row.target)])
        unshifted.append(logits[first : first + len(row.target)])
    targets = [row.target for row in rows]
    value = float(unlikelihood.term(made, None))
    assert value == pytest.approx(naive(targets, torch.cat(shifted), None), rel=1e-9)
    wrong = float(unlikelihood.term(Step(torch.cat(unshifted), made.targets, made.rows), None))
    assert abs(value - wrong) > 1e-4 * value


def test_a_stammer_costs_and_on_unshifted_logits_it_would_be_free() -> None:
    row = torch.tensor([1, 2, 3, 4, 5])
    rows = torch.zeros(5, dtype=torch.long)
    after = 12.0 * torch.nn.functional.one_hot(row, 6).double()  # after each token the model is sure of it once more
    assert float(unlikelihood.term(Step(after.roll(1, 0), row, rows), None)) > 5
    assert float(unlikelihood.term(Step(after, row, rows), None)) < 1e-3


@pytest.mark.parametrize("options", [{"window": 0}, {"window": 1.5}, {"weight": 0.0}, {"windows": 3}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"window|weight"):
        unlikelihood.Options.model_validate(options)
