"""What a Fisher cannot be measured on: examples that are not finite, an untrained adapter, nothing at all."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from breviary.data.batches import Row
from breviary.errors import TrainingError
from breviary.learn import fisher
from tests.learn.fishers import Rows, assert_close, measure, trained


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[str]], None]:
    """Make the likelihood of some examples not finite."""
    plain = fisher.log_likelihood

    def poison(names: set[str]) -> None:
        def broken(model: Any, row: Row, pad: int, accelerator: Any) -> Tensor:
            return plain(model, row, pad, accelerator) * (float("nan") if row.example in names else 1.0)

        monkeypatch.setattr(fisher, "log_likelihood", broken)

    return poison


def test_an_example_that_is_not_finite_is_left_out_and_named(
    tiny: Any, accelerator: Any, make_rows: Rows, poisoned: Callable[[set[str]], None]
) -> None:
    model, rows = trained(tiny.adapted()), make_rows(5)
    without = measure(model, rows[:2] + rows[3:], accelerator)
    poisoned({"e0-2"})
    found = measure(model, rows, accelerator, max_nonfinite_share=0.2)
    assert (found.examples, found.skipped) == (4, ("e0-2",))
    assert_close(found.diagonal, without.diagonal, 0)


@pytest.mark.parametrize(
    ("broken", "share", "message"),
    [
        ({"e0-1"}, 0.1, r"not finite for 1 of 5 examples \(max_nonfinite_share=0.1\): e0-1; look at"),
        ({f"e0-{number}" for number in range(5)}, 1.0, "not finite for 5 of 5 examples .*: e0-0, e0-1, e0-2, e0-3"),
    ],
)
def test_too_many_of_them_stop_it(
    broken: set[str], share: float, message: str, tiny: Any, accelerator: Any, make_rows: Rows, poisoned: Any
) -> None:
    poisoned(broken)
    with pytest.raises(TrainingError, match=message):
        measure(trained(tiny.adapted()), make_rows(5), accelerator, max_nonfinite_share=share)


def test_a_square_that_is_too_large_is_not_finite_either() -> None:
    weight = torch.zeros(2, requires_grad=True)
    sums, lost = fisher.sum_of_squares(lambda size: (weight * size).sum(), [1.0, 1e25], {"w": weight})
    assert lost == [1e25] and sums["w"].tolist() == [1.0, 1.0]


def test_an_adapter_that_was_never_trained_is_refused(tiny: Any, accelerator: Any, make_rows: Rows) -> None:
    with pytest.raises(TrainingError, match="all 4 lora_B weights are zero: this adapter was never trained"):
        measure(tiny.adapted(), make_rows(2), accelerator)


def test_a_fisher_of_zero_is_refused(
    tiny: Any, accelerator: Any, make_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained(tiny.adapted())
    elsewhere = torch.zeros((), requires_grad=True)
    monkeypatch.setattr(fisher, "log_likelihood", lambda *_: elsewhere * 1)
    with pytest.raises(TrainingError, match=r"the Fisher of all 8 weights \(base_model.*\) is zero over 2 examples"):
        measure(model, make_rows(2), accelerator)


def test_nothing_to_measure_on_is_refused(tiny: Any, accelerator: Any) -> None:
    with pytest.raises(TrainingError, match="not one example to measure the Fisher on"):
        measure(trained(tiny.adapted()), [], accelerator)
