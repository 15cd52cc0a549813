"""A teacher's expectations: what is kept of them, in how many bytes, and that they come back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from breviary.data.batches import Row, collate
from breviary.errors import ArtifactError, ConfigError
from breviary.learn import expectations
from breviary.learn.forward import forward
from breviary.learn.terms.distillation import divergence

Rows = Callable[..., list[Row]]


@pytest.mark.parametrize("k", [1, 4, 259])
def test_they_are_the_likeliest_tokens_and_the_rest(k: int, tiny: Any, make_rows: Rows) -> None:
    rows = make_rows(3)
    found = expectations.ask(tiny.loaded, rows, k=k, temperature=2.0, batch_size=2, pad=258)
    assert {name: tuple(each.ids.shape) for name, each in found.items()} == {
        row.example: (len(row.target), k) for row in rows
    }
    with torch.no_grad():
        step = forward(tiny.loaded, collate(rows[:1], 258))
    p = (step.logits / 2.0).softmax(-1)
    kept = found[rows[0].example]
    torch.testing.assert_close(kept.log_p[:, :-1].exp(), p.topk(k).values)
    torch.testing.assert_close(kept.log_p.exp().sum(-1), torch.ones(len(kept.ids)))
    assert divergence(step.logits, kept.ids, kept.log_p, 2.0).abs().max() < 1e-5


def test_they_come_back_nearly_as_they_were_in_few_bytes(tiny: Any, make_rows: Rows, tmp_path: Path) -> None:
    rows = make_rows(4)
    found = expectations.ask(tiny.loaded, rows, k=8, temperature=1.0, batch_size=2, pad=258)
    path = tmp_path / expectations.FILE
    expectations.save(found, path, 259)
    counts = {row.example: len(row.target) for row in rows}
    again = expectations.load(path, counts)
    assert expectations.bytes_per_target(path) == 8 * (2 + 2) + 2
    for name, each in found.items():
        assert torch.equal(again[name].ids, each.ids)
        torch.testing.assert_close(again[name].log_p, each.log_p, atol=4e-3, rtol=0)
        torch.testing.assert_close(again[name].log_p.exp().sum(-1), torch.ones(counts[name]))
    with pytest.raises(ArtifactError, match=r"targets, and the texts have 1; delete the folder"):
        expectations.load(path, {"e0-0": 1})
    expectations.save(found, path, 100_000)
    assert expectations.bytes_per_target(path) == 8 * (4 + 2) + 2


def test_more_tokens_than_there_are_are_refused(tiny: Any, make_rows: Rows) -> None:
    with pytest.raises(ConfigError, match=r"distill\.logits\.k: 300 tokens are asked for, of a vocabulary of 259"):
        expectations.ask(tiny.loaded, make_rows(1), k=300, temperature=1.0, batch_size=2, pad=258)
