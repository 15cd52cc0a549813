"""Adapters on disk: PEFT's own format, the same bytes for the same weights, bound to the backbone they were trained on.

`adapter_model.safetensors` and `adapter_config.json` are what PEFT reads; `backbone.json` beside them says which exact
weights they belong to, so that an adapter is never put on another model by mistake.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from breviary import artifacts, catalogue
from breviary.errors import ArtifactError, ModelError
from breviary.model import depth

ADAPTERS = "breviary.model.adapters"
Options = catalogue.kind_of(ADAPTERS)
BINDING = "backbone.json"
FILES = ("adapter_config.json", "adapter_model.safetensors")


def create(model: Any, options: Any, seed: int) -> Any:
    """`model` with a fresh trainable adapter, computed fused; its random weights depend on `seed` alone."""
    from breviary.model import fused

    return fused.install(plain(model, options, seed))


def plain(model: Any, options: Any, seed: int) -> Any:
    """The same, computed as PEFT does it."""
    with _quiet():
        return catalogue.resolve(ADAPTERS, options.kind).create(model, options, seed)


def load(model: Any, folder: Path, identity: str, *, trainable: bool) -> Any:
    """`model` with the adapter of `folder`, computed fused, and without the layers that it never had (`depth.py`).

    Raises ArtifactError if files are missing or damaged, ModelError if it was trained on other weights than `identity`.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    from breviary.model import fused

    require_bound(folder, identity)
    model = depth.restore(model, folder)
    try:
        with _quiet():
            adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
        with safe_open(folder / "adapter_model.safetensors", "pt") as stored:
            absent = sorted(get_peft_model_state_dict(adapted, save_embedding_layers=False).keys() - set(stored.keys()))
        if absent:  # PEFT leaves such weights random, and warns
            raise ValueError(f"it lacks {', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''}")
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        remedy = "delete it and run the stage that writes it"
        raise ArtifactError(f"{folder}: damaged adapter ({error}); {remedy}") from None
    return fused.install(adapted)


def require_bound(folder: Path, identity: str) -> None:
    """Raise ArtifactError if files of the adapter in `folder` are missing, ModelError if it is of other weights."""
    binding = artifacts.read_json(folder / BINDING)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:  # PEFT would ask the hub for them, or open a pickle
        raise ArtifactError(f"{folder}: {', '.join(missing)} missing; delete it and run the stage that writes it")
    if not isinstance(binding, dict) or "weights" not in binding:
        raise ArtifactError(f"{folder / BINDING}: names no weights; delete the folder and run the stage that writes it")
    if (folder / artifacts.SEAL).is_file():  # adapters of earlier versions have none
        artifacts.require_sealed(folder, f"delete {folder} and run the stage that writes it, or register it again")
    if binding["weights"] != identity:
        raise ModelError(
            f"{folder}: this adapter was trained on backbone weights {binding['weights']}, not on {identity}; "
            "run `dvc repro` to train one for this backbone, or set `backbone` in params.yaml back"
        )


def save(model: Any, folder: Path, identity: str) -> None:
    """Write the adapter of `model` to `folder`, whole or not at all.

    PEFT's `target_modules` is a set, which prints in another order in each process, and its base path is this
    machine's: the settings are written again in one form (DVC hashes them). PEFT must not look for resized embeddings:
    it would ask the hub for a model that is called like our identity.
    """
    with artifacts.atomic(folder) as temporary:
        model.save_pretrained(str(temporary), save_embedding_layers=False)
        (temporary / "README.md").unlink(missing_ok=True)
        settings = json.loads((temporary / "adapter_config.json").read_text(encoding="utf-8"))
        settings["base_model_name_or_path"] = identity
        ordered = {key: _ordered(value) for key, value in settings.items()}
        artifacts.write_json(temporary / "adapter_config.json", ordered)
        artifacts.write_json(temporary / BINDING, {"weights": identity})
        (temporary / "adapter_model.safetensors").chmod(0o644)
        artifacts.seal(temporary, (*FILES, BINDING))


def trainable(model: Any) -> dict[str, Any]:
    """The weights that training changes, by name. Raises ModelError if there are none."""
    found = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if not found:
        names = [name for name, _ in model.named_parameters()][:3]
        raise ModelError(f"the adapter left no trainable weight (the model has {', '.join(names)}, ...)")
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """peft 0.21 asks transformers 5.23 for the old name of a property whenever it wraps a model."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".is_gradient_checkpointing. is deprecated", FutureWarning)
        yield


def _ordered(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value
