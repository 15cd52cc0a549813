"""The backbone as those want it who do not train it: its prompts, and itself with an adapter, without dropout."""

from pathlib import Path
from typing import Any

from breviary import artifacts, config
from breviary.data import prompts, tokens
from breviary.model import adapt, chat, compute, memory, resolve, resources

BASE = Path("models/base.json")
SECTIONS = ("runtime", "compute", "prompt")


def prompter(params: config.Params) -> prompts.Prompter:
    """The backbone's prompts. No model is loaded."""
    folder = resolve.folder(BASE)
    return prompts.build(
        params.section("prompt", prompts.Options), tokens.load(folder), resolve.window(BASE), chat.frame
    )


def shape() -> dict[str, Any]:
    """The backbone's config.json, from which memory is estimated."""
    return artifacts.read_json(BASE)["config"]


def load(params: config.Params, adapter: Path | None, what: str, needed: memory.Estimate) -> Any:
    """The backbone, with `adapter` if there is one, ready for `what`.

    Raises ResourceError before anything is loaded where memory will not do.
    """
    resources.require(what, needed, resources.available())
    compute.prepare(params.section("runtime", config.Runtime))
    model = compute.load(resolve.folder(BASE), params.section("compute", compute.Options))
    if adapter:
        model = adapt.load(model, adapter, resolve.identity(BASE), trainable=False)
    return model.eval()
