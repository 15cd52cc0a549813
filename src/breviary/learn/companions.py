"""Weights that terms train beside the adapter, such as a projection head: saved with it, not needed for summarising."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from breviary import artifacts
from breviary.errors import ArtifactError

FILE = "companions.safetensors"


def save(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write them into the adapter's folder; nothing where there are none."""
    if weights:
        with artifacts.atomic(folder / FILE) as temporary:
            save_file({name: weight.detach().cpu().contiguous() for name, weight in weights.items()}, temporary)
            temporary.chmod(0o644)


def load(folder: Path) -> dict[str, Tensor]:
    """Those that lie beside the adapter in `folder`; none is as good. Raises ArtifactError if the file is damaged."""
    if not (folder / FILE).is_file():
        return {}
    try:
        return load_file(folder / FILE)
    except (SafetensorError, OSError) as error:
        remedy = "delete the folder and run the stage that writes it"
        raise ArtifactError(f"{folder / FILE}: damaged ({error}); {remedy}") from None
