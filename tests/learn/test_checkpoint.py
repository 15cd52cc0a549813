"""A checkpoint holds everything, as plain tensors and numbers, and appears whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from breviary.errors import ArtifactError
from breviary.learn import checkpoint
from breviary.learn.checkpoint import Progress
from breviary.model import adapt, optimizer
from tests.weights import learn


def made(tiny: Any, kind: str = "adamw", rank: int = 64, seed: int = 0) -> tuple[Any, dict[str, Any], Any]:
    model = tiny.adapted(rank=rank, seed=seed)
    weights = adapt.trainable(model)
    groups = optimizer.groups(weights, lr=1e-2, ratio=4.0, weight_decay=0.01)
    return model, weights, optimizer.create(kind, groups, (0.9, 0.999))


def progress(step: int, **more: Any) -> Progress:
    return Progress(step=step, curve=[{"step": step, "loss/cross_entropy": 1 / 3}], **more)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adamw", "adamw_8bit"])
def test_what_goes_on_from_a_checkpoint_is_what_went_on(kind: str, tiny: Any, tmp_path: Path) -> None:
    model, weights, adam = made(tiny, kind)
    learn(model, adam, 2)
    best = {name: weight.detach().clone() for name, weight in weights.items()}
    before = progress(2, best_loss=0.1, best_step=1, best=best, dropped={"x": 1})
    checkpoint.save(tmp_path, before, weights, adam)
    learn(model, adam, 2)

    other, others, again = made(tiny, kind, seed=7)
    after = checkpoint.restore(tmp_path, others, again)
    assert {**vars(after), "best": 0} == {**vars(before), "best": 0}
    assert all(torch.equal(after.best[name], best[name]) for name in best)
    learn(other, again, 2)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    known = [state["exp_avg" if kind == "adamw" else "state1"] for state in again.state.values()]
    assert {tensor.dtype for tensor in known} == {torch.float32 if kind == "adamw" else torch.uint8}


def test_rates_are_those_of_params_and_not_of_the_checkpoint(tiny: Any, tmp_path: Path) -> None:
    model, weights, adam = made(tiny)
    learn(model, adam, 1)
    adam.param_groups[0]["lr"] = 123.0
    checkpoint.save(tmp_path, progress(1), weights, adam)
    _, others, again = made(tiny)
    checkpoint.restore(tmp_path, others, again)
    assert [(group["name"], group["peak_lr"]) for group in again.param_groups] == [("A", 1e-2), ("B", 4e-2)]
    assert again.param_groups[0]["lr"] == 1e-2


def test_without_a_checkpoint_a_phase_begins(tiny: Any, tmp_path: Path) -> None:
    _, weights, adam = made(tiny)
    assert checkpoint.restore(tmp_path / "none", weights, adam) == Progress()


def test_the_newest_alone_is_kept(tiny: Any, tmp_path: Path) -> None:
    model, weights, adam = made(tiny)
    learn(model, adam, 1)
    for step in (5, 10, 100):
        checkpoint.save(tmp_path, progress(step), weights, adam)
    assert [path.name for path in tmp_path.iterdir()] == ["step-100"]
    assert checkpoint.restore(tmp_path, weights, adam).step == 100


def test_a_checkpoint_that_was_cut_short_is_not_seen(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, weights, adam = made(tiny)
    learn(model, adam, 1)
    checkpoint.save(tmp_path, progress(5), weights, adam)

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(tmp_path, progress(10), weights, adam)
    assert [path.name for path in tmp_path.iterdir()] == ["step-5"]
    assert checkpoint.restore(tmp_path, weights, adam).step == 5


@pytest.mark.parametrize("kind", ["adamw", "adamw_8bit"])
def test_it_holds_no_pickle(kind: str, tiny: Any, tmp_path: Path) -> None:
    model, weights, adam = made(tiny, kind)
    learn(model, adam, 1)
    checkpoint.save(tmp_path, progress(1), weights, adam)
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {"tensors.safetensors", "numbers.json", "sha256.json"}
    json.loads((folder / "numbers.json").read_text())
    content = (folder / "tensors.safetensors").read_bytes()
    json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])


@pytest.mark.parametrize("damage", ["tensors.safetensors", "numbers.json"])
@pytest.mark.parametrize("how", ["cut", "gone"])
def test_a_damaged_checkpoint_says_what_to_do(damage: str, how: str, tiny: Any, tmp_path: Path) -> None:
    model, weights, adam = made(tiny)
    learn(model, adam, 1)
    checkpoint.save(tmp_path, progress(1), weights, adam)
    file = tmp_path / "step-1" / damage
    file.write_bytes(file.read_bytes()[:100])
    if how == "gone":
        file.unlink()
    said = rf"step-1/{damage}: (damaged|missing).*\ndelete .*step-1 to start the phase afresh"
    with pytest.raises(ArtifactError, match=said):
        checkpoint.restore(tmp_path, weights, adam)


def test_a_checkpoint_of_another_adapter_is_refused(tiny: Any, tmp_path: Path) -> None:
    model, weights, adam = made(tiny)
    learn(model, adam, 1)
    checkpoint.save(tmp_path, progress(1), weights, adam)
    _, others, again = made(tiny, rank=8)
    before = {name: weight.detach().clone() for name, weight in others.items()}
    with pytest.raises(ArtifactError, match="step-1: holds other weights than this adapter; delete it"):
        checkpoint.restore(tmp_path, others, again)
    assert all(torch.equal(before[name], others[name]) for name in others)
    fewer = dict(list(weights.items())[1:])
    with pytest.raises(ArtifactError, match="holds other weights than this adapter"):
        checkpoint.restore(tmp_path, fewer, adam)
