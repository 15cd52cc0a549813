"""The backbone as those want it who do not train it: its prompts, and itself with an adapter, without dropout."""

from pathlib import Path
from typing import Any

from breviary import artifacts, config
from breviary.data import prompts, tokens
from breviary.model import adapt, chat, compute, memory, resolve, resources
from breviary.model.student import RECORD

BASE = Path("models/base.json")
SECTIONS = ("runtime", "compute", "prompt")


def record(adapter: Path | None) -> Path:
    """The record of the backbone that `adapter` is of: beside it, where it is not the project's."""
    own = adapter / RECORD if adapter else BASE
    return own if own.is_file() else BASE


def prompter(params: config.Params, base: Path = BASE) -> prompts.Prompter:
    """The prompts of the backbone whose record is at `base`. No model is loaded."""
    folder = resolve.folder(base)
    return prompts.build(
        params.section("prompt", prompts.Options), tokens.load(folder), resolve.window(base), chat.frame
    )


def shape(base: Path = BASE) -> dict[str, Any]:
    """The backbone's config.json, from which memory is estimated."""
    return artifacts.read_json(base)["config"]


def load(
    params: config.Params,
    adapter: Path | None,
    what: str,
    needed: memory.Estimate,
    base: Path = BASE,
    *,
    merged: bool = False,
) -> Any:
    """The backbone whose record is at `base`, with `adapter` if there is one, ready for `what`.

    `merged` adds the adapter to the weights, where these are fp32: writing takes less time without two more products a
    layer, and the logits are the same but for rounding. Other weights are too coarse to hold an update.

    Raises ResourceError before anything is loaded where memory will not do.
    """
    resources.require(what, needed, resources.available())
    compute.prepare(params.section("runtime", config.Runtime))
    options = params.section("compute", compute.Options)
    model = compute.load(resolve.folder(base), options)
    if adapter:
        model = adapt.load(model, adapter, resolve.identity(base), trainable=False)
        if merged and (options.precision, options.quantisation) == ("fp32", "none"):
            model = model.merge_and_unload()
    return model.eval()
