"""The hub: pinned, safetensors only, and clear when it cannot be reached (a closed local port plays it)."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from breviary.errors import ModelError
from breviary.model.backbones import hub

REVISION = "0123456789abcdef0123456789abcdef01234567"
FETCH = """
import sys
from pathlib import Path
from breviary.errors import ModelError
from breviary.model.backbones import hub
try:
    hub.fetch(hub.Options(kind="hub", name="a/b", revision=sys.argv[1]), Path(sys.argv[2]))
except ModelError as error:
    print(error)
"""


def options(**changes: Any) -> hub.Options:
    return hub.Options.model_validate({"kind": "hub", "name": "a/b", "revision": REVISION} | changes)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Where the hub's own cache keeps what was fetched before."""
    folder = tmp_path / "hub" / "models--a--b" / "snapshots" / REVISION
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {}], ids=["offline", "closed port"])
def test_a_hub_out_of_reach_is_an_error_with_a_remedy(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    known = {**os.environ, "PYTHONPATH": "src", "HF_ENDPOINT": f"http://127.0.0.1:{port}", **environment}
    command = [sys.executable, "-c", FETCH, REVISION, str(tmp_path)]
    done = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("backbone a/b@0123456789ab could not be fetched: "), done.stderr
    assert "check the name, the revision, your network and (gated models) `HF_TOKEN`" in done.stdout


def test_what_was_fetched_before_is_used_offline(snapshot: Path, tmp_path: Path, offline: None) -> None:
    (snapshot / "model.safetensors").touch()
    assert hub.fetch(options(), tmp_path) == snapshot


def test_weights_that_are_pickles_are_not_opened(snapshot: Path, tmp_path: Path, offline: None) -> None:
    (snapshot / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match="a/b@0123456789ab has no safetensors weights, and no others are opened"):
        hub.fetch(options(), tmp_path)


def test_nothing_is_there_offline(tmp_path: Path, offline: None) -> None:
    with pytest.raises(ModelError, match="backbone a/b@0123456789ab could not be fetched"):
        hub.fetch(options(), tmp_path)


def test_a_name_that_the_hub_refuses_is_an_error_of_ours(tmp_path: Path, offline: None) -> None:
    with pytest.raises(ModelError, match=r"backbone a/b--c@0123456789ab could not be fetched"):
        hub.fetch(options(name="a/b--c"), tmp_path)


def test_only_one_copy_of_the_weights_is_asked_for() -> None:
    from huggingface_hub.utils import filter_repo_objects

    held = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "chat_template.jinja",
        "consolidated.safetensors",
        "onnx/model.json",
        "original/model.safetensors",
        "pytorch_model.bin",
        "modeling_x.py",
    ]
    assert list(filter_repo_objects(held, allow_patterns=hub.WANTED, ignore_patterns=hub.UNWANTED)) == held[:5]


@pytest.mark.parametrize("files", [["tokenizer.model"], ["spm.model"], ["vocab.txt"], ["vocab.json", "merges.txt"]])
def test_tokenizers_in_older_forms_come_too(files: list[str]) -> None:
    from huggingface_hub.utils import filter_repo_objects

    held = [*files, "README.md", "requirements.txt", "training_args.bin", "tf_model.h5"]
    assert list(filter_repo_objects(held, allow_patterns=hub.WANTED, ignore_patterns=hub.UNWANTED)) == files


@pytest.mark.parametrize(
    "changes",
    [{"revision": "main"}, {"revision": "v1.0"}, {"revision": REVISION[:12]}, {"name": "b"}, {"name": "../a/b"}],
)
def test_a_revision_that_can_move_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        options(**changes)


def test_the_place_is_the_hubs_own(snapshot: Path, tmp_path: Path) -> None:
    assert hub.place(options(), tmp_path) == snapshot
