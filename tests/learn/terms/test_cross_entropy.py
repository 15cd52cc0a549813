"""Cross-entropy over the targets, in nats a token."""

import math

import pytest
import torch
from pydantic import ValidationError

from breviary.learn.forward import Step
from breviary.learn.terms import cross_entropy


def step(logits: list[list[float]], targets: list[int]) -> Step:
    return Step(torch.tensor(logits), torch.tensor(targets), torch.zeros(len(targets), dtype=torch.int64))


def test_it_is_the_mean_negative_log_likelihood() -> None:
    made = cross_entropy.term(step([[0.0, math.log(3)], [math.log(9), 0.0]], [1, 0]))
    assert float(made) == pytest.approx(-(math.log(3 / 4) + math.log(9 / 10)) / 2)


def test_knowing_nothing_costs_the_logarithm_of_the_vocabulary() -> None:
    assert float(cross_entropy.term(step([[0.0] * 50] * 3, [0, 7, 49]))) == pytest.approx(math.log(50))


def test_its_gradient_is_probability_less_truth() -> None:
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([5, 0, 3, 3])
    cross_entropy.term(Step(logits, targets, torch.zeros(4, dtype=torch.int64))).backward()
    truth = torch.nn.functional.one_hot(targets, 6)
    torch.testing.assert_close(logits.grad, (logits.detach().softmax(-1) - truth) / 4)


@pytest.mark.parametrize("options", [{"weight": 0.0}, {"weight": "1"}, {"wieght": 1.0}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="weight"):
        cross_entropy.Options.model_validate(options)


def test_examples_that_count_unequally_weigh_their_targets() -> None:
    logits, targets = torch.randn(4, 7, generator=torch.Generator().manual_seed(0)), torch.tensor([1, 2, 3, 4])
    rows, weights = torch.tensor([0, 0, 1, 1]), torch.tensor([1.5, 1.5, 0.5, 0.5])
    each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    found = cross_entropy.term(Step(logits, targets, rows, weights=weights))
    assert float(found) == pytest.approx(float((weights * each).sum() / 4))
