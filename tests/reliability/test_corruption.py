"""Every kind of artefact, damaged in every way: found before it is used, named, and told what to do about it.

What a format cannot see, a byte that turned into another, is found by a digest: `sha256.json` in a checkpoint and in an
adapter, the record of the model cache, and for what DVC keeps dvc.lock, which a stage compares with all that it reads.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from breviary import artifacts, stage
from breviary.errors import ArtifactError, BreviaryError
from breviary.learn import anchors, checkpoint, companions, subspace
from breviary.learn.checkpoint import Progress
from breviary.model import adapt, adapted, compute, resolve
from breviary.records import Document
from breviary.tracking import fingerprint, intact

FP32 = compute.Options(precision="fp32", quantisation="none")
AGAIN = r"(delete|run `dvc|get it again)"  # each remedy begins with what to do


@dataclass(frozen=True)
class Kind:
    """An artefact: the file that is damaged, and what reads it."""

    file: Path
    read: Callable[[], Any]


@pytest.fixture(scope="module")
def whole(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artefact of each kind, of the two-layer model."""
    root = tmp_path_factory.mktemp("whole")
    model = tiny.adapted()
    weights = adapt.trainable(model)
    adapt.save(model, root / "models/phase1", tiny.identity)
    companions.save({"head": torch.ones(2, 2)}, root / "models/phase1")
    held = {name: torch.ones_like(weight) for name, weight in weights.items()}
    anchors.save(anchors.Anchor(held, held), root / "models/phase1_anchor", {})
    directions = subspace.top_directions(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), 2)
    subspace.save(root / "models/subspace/base.safetensors", {"base": {"q": directions}}, tiny.identity, FP32)
    artifacts.write_records(
        root / "data/documents.jsonl", [Document("paper", "Salt", "A rock."), Document("talk", "", "é")]
    )
    artifacts.write_json(root / "data/splits.json", {"a": "train"})
    adam = torch.optim.AdamW(weights.values())
    checkpoint.save(root / "scratch", Progress(step=1), weights, adam)
    shutil.copytree(tiny.cache, root / "cache")
    return root


@pytest.fixture
def kinds(whole: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Kind]:
    root = tmp_path / "project"
    shutil.copytree(whole, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("BREVIARY_CACHE", str(root / "cache"))
    adapter, anchor, scratch = Path("models/phase1"), Path("models/phase1_anchor"), Path("scratch")
    model = tiny.adapted()
    weights = adapt.trainable(model)
    adam = torch.optim.AdamW(weights.values())
    base = resolve.folder(root / "cache/base.json") / "model.safetensors"
    return {
        "adapter weights": Kind(adapter / "adapter_model.safetensors", lambda: adapted.stored(adapter, tiny.identity)),
        "adapter settings": Kind(adapter / "adapter_config.json", lambda: adapted.stored(adapter, tiny.identity)),
        "adapter binding": Kind(adapter / "backbone.json", lambda: adapted.stored(adapter, tiny.identity)),
        "anchor": Kind(anchor / anchors.TENSORS, lambda: anchors.load(anchor, weights)),
        "subspace": Kind(subspace.file("base"), lambda: subspace.load("base", None, tiny.identity, FP32)),
        "records": Kind(
            Path("data/documents.jsonl"), lambda: artifacts.read_records(Path("data/documents.jsonl"), Document)
        ),
        "json": Kind(Path("data/splits.json"), lambda: artifacts.read_json(Path("data/splits.json"))),
        "checkpoint tensors": Kind(
            scratch / "step-1/tensors.safetensors", lambda: checkpoint.restore(scratch, weights, adam)
        ),
        "checkpoint numbers": Kind(scratch / "step-1/numbers.json", lambda: checkpoint.restore(scratch, weights, adam)),
        "checkpoint seal": Kind(scratch / "step-1/sha256.json", lambda: checkpoint.restore(scratch, weights, adam)),
        "base weights": Kind(base, lambda: resolve.folder(root / "cache/base.json")),
        "base record": Kind(root / "cache/base.json", lambda: resolve.folder(root / "cache/base.json")),
    }


KINDS = [
    *("adapter weights", "adapter settings", "adapter binding", "anchor", "subspace", "records", "json"),
    *("checkpoint tensors", "checkpoint numbers", "checkpoint seal", "base weights", "base record"),
]
DIGESTED = [name for name in KINDS if name.startswith(("checkpoint", "base weights", "adapter"))]
IN_DVC = ["adapter weights", "adapter settings", "adapter binding", "anchor", "subspace", "records", "json"]


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def zeroed(raw: bytes) -> bytes:
    """What a file is after a crash of a machine whose disk had its length and not its content."""
    return bytes(len(raw))


def flipped(raw: bytes) -> bytes:
    """One bit of the payload: safetensors keep theirs at the end."""
    at = len(raw) - 3
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def refusal(kind: Kind) -> str:
    with pytest.raises(BreviaryError) as refused:
        kind.read()
    return str(refused.value)


@pytest.mark.parametrize("name", KINDS)
def test_the_whole_one_is_read(name: str, kinds: dict[str, Kind]) -> None:
    kinds[name].read()


def assert_refused(kind: Kind, damage: Callable[[bytes], bytes]) -> None:
    """What was damaged is named, and so is what to do."""
    kind.file.write_bytes(damage(kind.file.read_bytes()))
    said = refusal(kind)
    assert str(kind.file) in said or str(kind.file.parent) in said
    assert re.search(AGAIN, said), said


@pytest.mark.parametrize("damage", [cut, zeroed], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", KINDS)
def test_one_that_is_cut_short_or_hollow_is_named_with_a_remedy(
    name: str, damage: Callable[[bytes], bytes], kinds: dict[str, Kind]
) -> None:
    assert_refused(kinds[name], damage)


@pytest.mark.parametrize("name", KINDS)
def test_one_that_is_gone_is_named_with_a_remedy(name: str, kinds: dict[str, Kind]) -> None:
    kind = kinds[name]
    kind.file.unlink()
    said = refusal(kind)
    assert kind.file.name in said and "missing" in said
    assert re.search(AGAIN, said), said


@pytest.mark.parametrize("name", DIGESTED)
def test_one_flipped_bit_is_found_by_the_digest_that_goes_with_it(name: str, kinds: dict[str, Kind]) -> None:
    kind = kinds[name]
    kind.file.write_bytes(flipped(kind.file.read_bytes()))
    said = refusal(kind)
    assert str(kind.file.parent) in said
    assert "delete" in said


@pytest.mark.parametrize("name", IN_DVC)
def test_one_flipped_bit_in_what_dvc_keeps_stops_the_stage_that_reads_it(
    name: str, kinds: dict[str, Kind], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads = [Path("models/phase1"), Path("models/phase1_anchor"), subspace.file("base"), *Path("data").iterdir()]
    written = fingerprint.inputs(reads)
    outs = "".join(f"    - path: {each.name}\n      md5: {each.md5}\n" for each in written)
    Path("dvc.lock").write_text(f"schema: '2.0'\nstages:\n  before:\n    outs:\n{outs}")
    intact.require(written)
    file = kinds[name].file
    file.write_bytes(flipped(file.read_bytes()))
    monkeypatch.setenv("DVC_STAGE", "chunk")
    monkeypatch.setattr(stage, "PARAMS", Path("params.yaml"))
    shutil.copyfile(Path(__file__).parents[2] / "params.yaml", "params.yaml")
    with pytest.raises(SystemExit) as stopped, stage.running("chunk", sections=("runtime",), reads=reads):
        pytest.fail("the stage ran")
    assert stopped.value.code == 2
    out = next(each.name for each in written if file.is_relative_to(each.name))
    assert f"chunk: {out}: its md5 is" in capsys.readouterr().err


def json_of_another_version(raw: bytes) -> bytes:
    return b'{"version": 2}\n'


def tensors_of_another_version(raw: bytes) -> bytes:
    return save({"version": torch.zeros(2)})


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("adapter settings", json_of_another_version),
        ("adapter binding", json_of_another_version),
        ("adapter weights", tensors_of_another_version),
        ("anchor", tensors_of_another_version),
        ("subspace", tensors_of_another_version),
        ("records", json_of_another_version),
        ("checkpoint numbers", json_of_another_version),
        ("checkpoint tensors", tensors_of_another_version),
        ("checkpoint seal", json_of_another_version),
        ("base record", json_of_another_version),
        ("base weights", tensors_of_another_version),
    ],
)
def test_one_of_another_version_is_named_with_a_remedy(
    name: str, damage: Callable[[bytes], bytes], kinds: dict[str, Kind]
) -> None:
    assert_refused(kinds[name], damage)


def test_a_record_of_another_version_or_type_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    artifacts.write_records(path, [Document("paper", "Salt", "A rock.")])
    good = path.read_text()
    values = json.loads(good)
    for changed, message in (
        ({**values, "language": "en"}, "keys differ: language"),
        ({key: value for key, value in values.items() if key != "times"}, "keys differ: times"),
        ({**values, "text": 5}, "of another type: text"),
        ({**values, "title": None, "times": True}, "of another type: times, title"),
        ([values], "not a Document record"),
    ):
        path.write_text(good + json.dumps(changed, sort_keys=True) + "\n")
        with pytest.raises(ArtifactError, match=rf"documents\.jsonl:2: not a Document record .*{message}|{message}.*;"):
            artifacts.read_records(path, Document)
    path.write_text(good + "[" * 100_000 + "\n")
    with pytest.raises(ArtifactError, match=r"documents\.jsonl:2: not a Document record"):
        artifacts.read_records(path, Document)
    path.write_text("[" * 100_000)
    with pytest.raises(ArtifactError, match=r"documents\.jsonl: not valid JSON"):
        artifacts.read_json(path)


def test_a_checkpoint_from_elsewhere_is_no_part_of_this_one(kinds: dict[str, Kind]) -> None:
    """A file that is whole, and sealed, but not the one that was sealed here."""
    kind = kinds["checkpoint numbers"]
    numbers = json.loads(kind.file.read_text())
    artifacts.write_json(kind.file, numbers | {"step": 2})
    assert "numbers.json: damaged, its sha256 is not the one in sha256.json" in refusal(kind)
