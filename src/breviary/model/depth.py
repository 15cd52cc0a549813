"""A backbone without some of its layers: one contiguous block is left out, and the rest close the gap.

    h -> layer_0 .. layer_{s-1}, layer_{s+n} .. layer_{L-1} -> norm -> head

Layers of a deep transformer change the residual stream little, those in the middle least, so that a block of them can
be left out and what is lost be healed by a little training (Gromov et al. 2024, arXiv:2403.17887; ShortGPT,
arXiv:2403.03853). Layers spread evenly over the depth are far worse to leave out.

The weights are never copied: what is saved is `pruned.json` beside the adapter, which `adapt.load` reads. Each layer
that stays gets a new number, by which the cache of keys and values knows it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.errors import ArtifactError, ConfigError, ModelError

FILE = "pruned.json"
PER_LAYER = ("layer_types", "no_rope_layers")  # of a config: lists with one entry a layer, where a backbone has them


def cut(model: Any, start: int, count: int) -> Any:
    """`model`, adapted or not, without its layers start .. start + count - 1. It is changed in place.

    Raises ConfigError where there are no such layers, or none would be left.
    """
    layers = list(stack(model))
    if not (count >= 0 and 0 <= start <= len(layers) - count and count < len(layers)):
        raise ConfigError(f"layers {start} to {start + count - 1} cannot be left out of {len(layers)}")
    listed = {
        name: [*each[:start], *each[start + count :]]
        for name in PER_LAYER
        if isinstance(each := getattr(model.config, name, None), list) and len(each) == len(layers)
    }
    _fit(model, [*layers[:start], *layers[start + count :]], listed)
    return model


@contextmanager
def left_out(model: Any, start: int, count: int) -> Iterator[None]:
    """`model` without these layers until the block ends."""
    layers = list(stack(model))
    listed = {name: getattr(model.config, name) for name in PER_LAYER if hasattr(model.config, name)}
    cut(model, start, count)
    try:
        yield
    finally:
        _fit(model, layers, listed)


def _fit(model: Any, layers: Sequence[Any], listed: Mapping[str, Any]) -> None:
    """Let `layers` be those of `model`, numbered in this order, and `listed` what its config says of each."""
    from torch import nn

    owner, name = _place(model, stack(model))
    setattr(owner, name, nn.ModuleList(layers))
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number
    model.config.num_hidden_layers = len(layers)
    for key, value in listed.items():
        setattr(model.config, key, value)


def stack(model: Any) -> Any:
    """The list of the model's layers. Raises ModelError where it cannot be told which list that is."""
    from torch import nn

    count = model.config.num_hidden_layers
    found = [each for each in model.modules() if isinstance(each, nn.ModuleList) and len(each) == count]
    found = [each for each in found if any(hasattr(part, "layer_idx") for part in each[0].modules())]
    if len(found) != 1:
        raise ModelError(
            f"{type(model).__name__}: {len(found)} lists of {count} layers; only a decoder with one is cut"
        )
    return found[0]


def save(folder: Path, layers: int, removed: Sequence[int]) -> None:
    """Say beside the adapter in `folder` that of `layers` those in `removed` are left out."""
    artifacts.write_json(folder / FILE, {"layers": layers, "removed": list(removed)})


def restore(model: Any, folder: Path) -> Any:
    """`model` without the layers that the adapter in `folder` does not have; as it is where it has all of them.

    Raises ArtifactError where the file is not of this backbone, or is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return model
    known = artifacts.read_json(file)
    removed, layers = (known.get("removed"), known.get("layers")) if isinstance(known, dict) else (None, None)
    there = len(stack(model))
    if isinstance(removed, list) and layers == there and _block(removed):
        return cut(model, removed[0], len(removed))
    raise ArtifactError(
        f"{file}: says that layers {removed} of {layers} are left out, of a backbone with {there}; "
        "delete the folder and run the stage that writes it"
    )


def _block(removed: list[Any]) -> bool:
    """Whether these are whole numbers without a gap."""
    whole = bool(removed) and all(type(layer) is int for layer in removed)
    return whole and removed == list(range(removed[0], removed[0] + len(removed)))


def candidates(layers: int, count: int, every: int) -> list[int]:
    """Where a block of `count` layers may begin: each `every`-th place from the second layer on; the last one stays.

    Raises ConfigError where that leaves no place.
    """
    found = list(range(1, layers - count, every))
    if count < 1 or not found:
        raise ConfigError(f"no block of {count} layers lies between the first and the last of {layers}")
    return found


def _place(model: Any, layers: Any) -> tuple[Any, str]:
    """The module that holds `layers`, and under which name."""
    return next(
        (module, name) for module in model.modules() for name, child in module.named_children() if child is layers
    )
