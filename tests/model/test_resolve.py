"""A record is enough to find a model again, and every use of it is checked against its hashes."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from breviary import artifacts
from breviary.errors import ArtifactError, ModelError
from breviary.model import resolve
from breviary.model.backbones import tiny as kind

OPTIONS = kind.Options(kind="tiny", layers=1, width=16, seed=4)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model of this test's own, that it may damage."""
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path / "cache"))
    artifacts.write_json(tmp_path / "base.json", resolve.record(OPTIONS))
    return tmp_path / "base.json"


def test_the_record_names_the_bytes_of_every_file(record: Path) -> None:
    known, folder = artifacts.read_json(record), resolve.folder(record)
    assert known["options"] == {"kind": "tiny", "layers": 1, "width": 16, "context_tokens": 4096, "seed": 4}
    assert set(known["files"]) == {file.name for file in folder.iterdir()} >= {"model.safetensors", "tokenizer.json"}
    for name, digest in known["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert known["config"]["hidden_size"] == 16
    assert str(record.parent) not in record.read_text()


def test_a_lost_cache_is_made_again_with_the_same_bytes(record: Path, tmp_path: Path) -> None:
    import shutil

    shutil.rmtree(tmp_path / "cache")
    assert resolve.folder(record).is_relative_to(tmp_path / "cache")
    assert resolve.record(OPTIONS) == artifacts.read_json(record)


def test_one_flipped_bit_is_found(record: Path) -> None:
    weights = resolve.folder(record) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError) as refused:
        resolve.folder(record)
    first, remedy = str(refused.value).split("\n")
    assert first == f"{weights}: not the bytes that {record} names"
    assert remedy.startswith(f"delete {weights.parent} so that it is fetched again, or run `dvc repro -f base_model`")


def test_every_missing_file_is_named(record: Path) -> None:
    folder = resolve.folder(record)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"config\.json: missing\n.*tokenizer\.json: missing\n"):
        resolve.folder(record)


def test_a_missing_record_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"base\.json: missing; run `dvc repro`"):
        resolve.folder(tmp_path / "base.json")


def test_the_identity_depends_on_the_weights_alone(record: Path, tmp_path: Path) -> None:
    known = artifacts.read_json(record)
    assert resolve.identity(record) == known["files"]["model.safetensors"][:16]
    known["files"] |= {"tokenizer.json": "0" * 64, "b.safetensors": "b" * 64, "a.safetensors": "a" * 64}
    artifacts.write_json(tmp_path / "other.json", known)
    assert resolve.identity(tmp_path / "other.json") == "+".join(
        ["a" * 16, "b" * 16, known["files"]["model.safetensors"][:16]]
    )


def test_the_window_is_that_of_the_config(record: Path, tmp_path: Path) -> None:
    assert resolve.window(record) == 4096
    artifacts.write_json(tmp_path / "other.json", {"config": {"n_positions": 1024}})
    with pytest.raises(ModelError, match=r"other\.json: this backbone's config has no max_position_embeddings"):
        resolve.window(tmp_path / "other.json")


def test_the_cache_is_where_it_was_told_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREVIARY_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert resolve.cache() == Path("/a")
    monkeypatch.delenv("BREVIARY_CACHE")
    assert resolve.cache() == Path("/b/breviary")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert resolve.cache() == Path.home() / ".cache" / "breviary"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "pakage"}, "no kind 'pakage' in backbones, did you mean 'package'"),
        ({"name": "a/b"}, r"a mapping with a 'kind' is expected here \(known: hub, package, tiny\)"),
        ({"kind": "tiny", "layer": 1}, "unknown key, did you mean 'layers'"),
    ],
)
def test_options_are_checked_by_their_kind(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(resolve.Options).validate_python(options)


def test_the_place_of_a_model_is_where_it_was_fetched_to(record: Path) -> None:
    assert resolve.place(artifacts.read_json(record)["options"]) == resolve.folder(record)
