"""Weights beside the adapter reach the next phase, and an adapter without them is as good."""

from pathlib import Path

import pytest
import torch

from breviary.errors import ArtifactError
from breviary.learn import companions


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    weights = {"contrastive.left": torch.nn.Parameter(torch.randn(3, 2)), "contrastive.right": torch.ones(3, 2).T}
    companions.save(weights, tmp_path)
    found = companions.load(tmp_path)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_nothing_to_save_leaves_no_file(tmp_path: Path) -> None:
    companions.save({}, tmp_path)
    assert list(tmp_path.iterdir()) == [] and companions.load(tmp_path) == {}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / companions.FILE).write_bytes(b"not tensors")
    with pytest.raises(ArtifactError, match=r"companions.safetensors: damaged .*delete the folder"):
        companions.load(tmp_path)
