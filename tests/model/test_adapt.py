"""Adapters on disk: the same bytes for the same weights, and never on another backbone."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from breviary import artifacts
from breviary.errors import ArtifactError, ModelError
from breviary.model import adapt
from tests.weights import disturbed

IDS = torch.arange(24).reshape(2, 12)
WEIGHTS = "adapter_model.safetensors"
SAVE = """
import sys
from pathlib import Path
from breviary.model import adapt, compute
from breviary.model.adapters import lora
model = compute.load(Path(sys.argv[1]), compute.Options(precision="fp32", quantisation="none"))
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
options = lora.Options(kind="lora", rank=4, alpha=8.0, dropout=0.1, targets=targets)
adapt.save(adapt.create(model, options, 3), Path(sys.argv[2]), "weights")
"""


@pytest.fixture
def saved(tiny: Any, tmp_path: Path) -> Path:
    adapt.save(disturbed(tiny.adapted()), tmp_path / "adapter", tiny.identity)
    return tmp_path / "adapter"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


@pytest.mark.parametrize("trainable", [True, False])
def test_a_loaded_adapter_computes_the_same_bits(trainable: bool, saved: Path, tiny: Any) -> None:
    loaded = adapt.load(tiny.model(), saved, tiny.identity, trainable=trainable)
    assert torch.equal(logits(loaded), logits(disturbed(tiny.adapted())))
    assert not torch.equal(logits(loaded), logits(tiny.model()))
    assert any(weight.requires_grad for weight in loaded.parameters()) is trainable


def test_saving_what_was_loaded_writes_the_same_bytes(saved: Path, tiny: Any, tmp_path: Path) -> None:
    adapt.save(adapt.load(tiny.model(), saved, tiny.identity, trainable=True), tmp_path / "again", tiny.identity)
    assert {file.name for file in saved.iterdir()} == {"adapter_config.json", WEIGHTS, "backbone.json", artifacts.SEAL}
    for file in saved.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_saving_and_loading_ask_nobody(saved: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **_: asked.append(where) or [])
    monkeypatch.setattr(socket.socket, "connect", lambda _, where: asked.append(where))
    adapt.save(adapt.load(tiny.model(), saved, tiny.identity, trainable=True), tmp_path / "again", tiny.identity)
    assert asked == []


def test_plain_peft_reads_it(saved: Path, tiny: Any) -> None:
    from peft import PeftModel

    theirs = logits(PeftModel.from_pretrained(tiny.model(), saved))
    torch.testing.assert_close(theirs, logits(disturbed(tiny.adapted())), rtol=1e-5, atol=1e-6)  # ours is fused


def test_nothing_of_this_machine_is_written(saved: Path, tiny: Any) -> None:
    settings = json.loads((saved / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == tiny.identity
    for file in saved.iterdir():
        assert str(tiny.cache).encode() not in file.read_bytes()


def test_an_adapter_of_another_backbone_is_refused(saved: Path, tiny: Any) -> None:
    with pytest.raises(ModelError, match=f"trained on backbone weights {tiny.identity}, not on other; run `dvc repro`"):
        adapt.load(tiny.model(), saved, "other", trainable=False)


@pytest.mark.parametrize("file", ["adapter_config.json", WEIGHTS, "backbone.json"])
def test_a_missing_file_is_named_and_not_looked_for_on_the_hub(file: str, saved: Path, tiny: Any) -> None:
    (saved / file).unlink()
    torch.save({}, saved / "adapter_model.bin")  # what PEFT would open instead
    with pytest.raises(ArtifactError, match=f"{file}(:)? missing"):
        adapt.load(tiny.model(), saved, tiny.identity, trainable=False)


@pytest.fixture
def unsealed(saved: Path) -> Path:
    """As earlier versions left it, or a version that somebody registered: no hashes that would tell."""
    (saved / artifacts.SEAL).unlink()
    return saved


def test_what_its_seal_does_not_know_is_refused(saved: Path, tiny: Any) -> None:
    damaged = bytearray((saved / WEIGHTS).read_bytes())
    damaged[-1] ^= 1  # a weight like any other
    (saved / WEIGHTS).write_bytes(damaged)
    with pytest.raises(ArtifactError, match=f"{WEIGHTS}: damaged, its sha256 is not the one in sha256.json"):
        adapt.load(tiny.model(), saved, tiny.identity, trainable=False)


def test_damaged_weights_are_refused(unsealed: Path, tiny: Any) -> None:
    whole = (unsealed / WEIGHTS).read_bytes()
    (unsealed / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"damaged adapter .*; delete it and run the stage that writes it"):
        adapt.load(tiny.model(), unsealed, tiny.identity, trainable=False)


def test_absent_weights_are_refused_and_not_left_random(unsealed: Path, tiny: Any) -> None:
    held = load_file(unsealed / WEIGHTS)
    lost = sorted(held)[1]
    save_file({name: tensor for name, tensor in held.items() if name != lost}, unsealed / WEIGHTS)
    with pytest.raises(ArtifactError, match=f"damaged adapter .*{lost}"), pytest.warns(UserWarning, match="missing"):
        adapt.load(tiny.model(), unsealed, tiny.identity, trainable=False)


def test_weights_of_another_shape_are_refused(unsealed: Path, tiny: Any) -> None:
    held = load_file(unsealed / WEIGHTS)
    save_file({name: tensor[:2].clone() for name, tensor in held.items()}, unsealed / WEIGHTS)
    with pytest.raises(ArtifactError, match=r"(?s)damaged adapter .*size mismatch"):
        adapt.load(tiny.model(), unsealed, tiny.identity, trainable=False)


def test_settings_that_are_not_json_are_refused(unsealed: Path, tiny: Any) -> None:
    (unsealed / "adapter_config.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged adapter"):
        adapt.load(tiny.model(), unsealed, tiny.identity, trainable=False)


def test_a_model_without_trainable_weights_is_refused(tiny: Any) -> None:
    with pytest.raises(ModelError, match=r"no trainable weight \(the model has model\.embed_tokens\.weight, "):
        adapt.trainable(tiny.model())


def test_a_failed_save_leaves_the_old_adapter(saved: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (saved / WEIGHTS).read_bytes()
    model = tiny.adapted(seed=9)
    monkeypatch.setattr(adapt, "_ordered", lambda value: {}[value])
    with pytest.raises((KeyError, TypeError)):
        adapt.save(model, saved, tiny.identity)
    assert (saved / WEIGHTS).read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["adapter"]


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tiny: Any, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [sys.executable, "-c", SAVE, str(tiny.folder), str(tmp_path / seed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "src"}
        subprocess.run(command, env=environment, check=True, capture_output=True)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == ["adapter_config.json", WEIGHTS, "backbone.json", artifacts.SEAL]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    shutil.rmtree(tmp_path / "2")
