"""Any causal language model of the Hugging Face hub, by name and pinned revision, with no remote code.

Only safetensors weights are taken (a pickle can run code when it is opened), and only a full commit hash is accepted as
the revision: a branch or tag can move.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from breviary import config
from breviary.errors import ModelError

TOKENIZER = ["tokenizer.model", "spm.model", "vocab.txt", "merges.txt"]  # older forms than tokenizer.json
WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", *TOKENIZER]
UNWANTED = ["*/*", "consolidated*"]  # the same weights once more, in other formats


class Options(config.Options):
    """The repository and its commit."""

    kind: Literal["hub"]
    name: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", examples=["owner/model"])
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", examples=["27d67f1b..., the 40 digits of a commit"])


def fetch(options: Options, cache: Path) -> Path:
    """The folder of the snapshot. The hub's own cache keeps it; `HF_HUB_OFFLINE=1` uses what is there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            options.name,
            revision=options.revision,
            allow_patterns=WANTED,
            ignore_patterns=UNWANTED,
            cache_dir=cache / "hub",
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"backbone {options.name}@{options.revision[:12]} could not be fetched: {error}\n"
            "check the name, the revision, your network and (gated models) `HF_TOKEN`, or choose another backbone.kind"
        ) from None
    if not any(Path(found).glob("*.safetensors")):
        raise ModelError(f"{options.name}@{options.revision[:12]} has no safetensors weights, and no others are opened")
    return Path(found)


def place(options: Options, cache: Path) -> Path:
    """Where `fetch` leaves the snapshot: the layout of the hub's own cache."""
    return cache / "hub" / f"models--{options.name.replace('/', '--')}" / "snapshots" / options.revision
