"""A weighted sum of terms, from which one that is not finite is left out alone."""

from typing import Any

import pytest
import torch

from breviary.errors import ConfigError
from breviary.learn import objective
from breviary.learn.forward import Step


@pytest.fixture
def step() -> Step:
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    return Step(logits, torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]))


def square(step: Step) -> torch.Tensor:
    return step.logits.square().sum()


def total(step: Step) -> torch.Tensor:
    return step.logits.sum()


def nan(step: Step) -> torch.Tensor:
    return step.logits.sum() * float("nan")


def infinite(step: Step) -> torch.Tensor:
    return step.logits.sum().abs() / 0


def test_terms_are_weighted_in_the_sum_and_not_in_the_log(step: Step) -> None:
    loss, parts, lost = objective.total({"a": (2.0, square), "b": (0.5, total)}, step)
    assert torch.equal(loss, 2.0 * square(step) + 0.5 * total(step))
    assert parts["a"] == square(step) and parts["b"] == total(step) and lost == []
    assert not any(value.requires_grad for value in parts.values())


def test_a_term_that_is_not_finite_is_left_out_alone(step: Step) -> None:
    loss, parts, lost = objective.total({"z": (1.0, infinite), "a": (1.0, square), "n": (3.0, nan)}, step)
    assert (sorted(parts), lost) == (["a"], ["n", "z"])
    loss.backward()
    assert torch.equal(step.logits.grad, 2 * step.logits.detach())


def test_with_no_term_left_there_is_no_gradient(step: Step) -> None:
    loss, parts, lost = objective.total({"n": (1.0, nan)}, step)
    assert (float(loss), loss.requires_grad, parts, lost) == (0.0, False, {}, ["n"])


def test_terms_are_computed_outside_autocast(step: Step) -> None:
    seen = []

    def term(step: Step) -> torch.Tensor:
        product = step.logits @ step.logits.T
        seen.append(product.dtype)
        return product.sum()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        objective.total({"a": (1.0, term)}, step)
    assert seen == [torch.float32]


def test_terms_are_built_from_their_options(step: Step, make_given: Any) -> None:
    built = objective.build({"cross_entropy": {"weight": 0.5}}, make_given())
    weight, term = built.terms["cross_entropy"]
    assert not built.wholes and not built.trained and not built.buffers
    assert weight == 0.5
    torch.testing.assert_close(term(step), torch.nn.functional.cross_entropy(step.logits, step.targets))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wieght": 1.0}, r"terms\.cross_entropy\.wieght: unknown key, did you mean 'weight'"),
        ({"weight": -1.0}, r"terms\.cross_entropy\.weight: Input should be greater than 0, got -1\.0"),
    ],
)
def test_wrong_options_of_a_term_are_told_with_their_address(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        objective.check({"cross_entropy": options}, "terms")
