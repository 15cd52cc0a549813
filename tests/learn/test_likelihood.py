"""Likelihoods are transformers' own loss, however the rows are batched."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from breviary.data.batches import Row
from breviary.learn import likelihood

PAD = 258
Rows = Callable[..., list[Row]]


def measured(model: Any, rows: list[Row], size: int) -> dict[str, float]:
    return {
        name: value for batch in likelihood.nats(model, rows, batch_size=size, pad=PAD) for name, value in batch.items()
    }


def reference(model: Any, row: Row) -> float:
    """transformers' own loss of one row, which is a mean over its targets."""
    ids = torch.tensor([row.prompt + row.target])
    labels = ids.clone()
    labels[0, : len(row.prompt)] = -100
    with torch.no_grad():
        return float(model(input_ids=ids, labels=labels).loss) * len(row.target)


def test_it_is_the_loss_of_transformers(tiny: Any, make_rows: Rows) -> None:
    model, rows = tiny.model().double().eval(), make_rows(7)
    found = measured(model, rows, 3)
    # transformers takes the loss of float64 logits in fp32
    assert found == pytest.approx({row.example: reference(model, row) for row in rows}, rel=1e-5)


@pytest.mark.parametrize("size", [2, 3, 7])
def test_batches_and_padding_change_nothing(size: int, tiny: Any, make_rows: Rows) -> None:
    model, rows = tiny.model().eval(), make_rows(7)
    assert measured(model, rows, size) == pytest.approx(measured(model, rows[::-1], 1), abs=1e-4)


def test_few_positions_at_a_time_change_nothing(tiny: Any, make_rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = tiny.model().eval(), make_rows(7)
    whole = measured(model, rows, 7)
    monkeypatch.setattr(likelihood, "POSITIONS", 4)
    assert measured(model, rows, 7) == pytest.approx(whole, abs=1e-4)


def test_random_weights_are_as_surprised_as_a_die_with_as_many_faces(tiny: Any, make_rows: Rows) -> None:
    rows = make_rows(5)
    found = measured(tiny.model().eval(), rows, 5)
    for row in rows:
        assert found[row.example] / len(row.target) == pytest.approx(torch.tensor(260.0).log().item(), rel=0.1)


def test_nothing_is_left_in_the_model(tiny: Any, make_rows: Rows) -> None:
    model = tiny.adapted()
    measured(model, make_rows(3), 3)
    assert all(weight.grad is None for weight in model.parameters())


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=20), st.integers(1, 5), st.integers(1, 30))
def test_every_row_is_in_one_batch_that_is_small_enough(lengths: Any, size: int, positions: int) -> None:
    rows = [Row(f"e{at:02}", [0] * prompt, [1] * target) for at, (prompt, target) in enumerate(lengths)]
    planned = likelihood.batches(rows, size, positions)
    assert sorted(row.example for batch in planned for row in batch) == [row.example for row in rows]
    for batch in planned:
        assert len(batch) <= size
        assert len(batch) == 1 or len(batch) * max(len(row.target) for row in batch) <= positions
    assert planned == likelihood.batches(rows[::-1], size, positions)
    assert [len(row) for batch in planned for row in batch] == sorted(map(len, rows), reverse=True)
