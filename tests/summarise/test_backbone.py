"""A backbone for those who do not train it: with its adapter beside the weights, or in them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from breviary import config
from breviary.model import adapt, memory
from breviary.model.compute import Options
from breviary.summarise import backbone
from tests.weights import wake


def loaded(tiny: Any, adapter: Path, precision: Any, *, merged: bool) -> Any:
    sections: dict[str, config.Options] = {
        "runtime": config.Runtime(seed=0, threads=1),
        "compute": Options(precision=precision, quantisation="none"),
    }
    needed = memory.Estimate(0, 0, 0, 0, 0)
    return backbone.load(config.Params({}, sections), adapter, "a test", needed, tiny.record, merged=merged)


@pytest.fixture
def adapter(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    adapt.save(wake(tiny.adapted(), seed=2), tmp_path / "adapter", tiny.identity)
    return tmp_path / "adapter"


@torch.no_grad()
def test_a_merged_adapter_says_the_same_without_layers_of_its_own(tiny: Any, adapter: Path) -> None:
    beside, inside = (loaded(tiny, adapter, "fp32", merged=merged) for merged in (False, True))
    ids = torch.tensor([list(b"The wall was built by hand.")])
    logits = inside(ids).logits
    torch.testing.assert_close(logits, beside(ids).logits, rtol=1e-4, atol=1e-5)
    assert (logits - tiny.model()(ids).logits).abs().max() > 1e-2
    assert any("lora" in name for name, _ in beside.named_modules())
    assert not any("lora" in name for name, _ in inside.named_modules())
    assert not inside.training


def test_weights_that_are_too_coarse_for_an_update_keep_it_beside_them(tiny: Any, adapter: Path) -> None:
    assert any("lora" in name for name, _ in loaded(tiny, adapter, "bf16", merged=True).named_modules())
