"""A model ready to summarise: backbone, adapter, prompt and decoding, together, for `predict` and the command line."""

from functools import partial
from pathlib import Path

from breviary import artifacts, config
from breviary.data import prompts, tokens
from breviary.model import chat, compute, memory, resolve
from breviary.summarise import predictions

BASE = Path("models/base.json")
SECTIONS = ("runtime", "compute", "prompt", "predict")


def prompter(params: config.Params) -> prompts.Prompter:
    """The backbone's prompts. No model is loaded."""
    folder = resolve.folder(BASE)
    return prompts.build(
        params.section("prompt", prompts.Options), tokens.load(folder), resolve.window(BASE), chat.frame
    )


def generator(params: config.Params, adapter: Path | None, tokenizer: tokens.Tokenizer) -> predictions.Generate:
    """The backbone, with `adapter` if there is one, as a function from prompts to texts.

    Raises ResourceError before anything is loaded where memory will not do.
    """
    options = params.section("predict", predictions.Options)
    arithmetic = params.section("compute", compute.Options)
    prompting = params.section("prompt", prompts.Options)
    runtime = params.section("runtime", config.Runtime)
    needed = memory.for_prediction(artifacts.read_json(BASE)["config"], arithmetic, prompting, options)
    memory.require("generation", needed, memory.available())

    from breviary.model import adapt, generate

    compute.prepare(runtime)
    model = compute.load(resolve.folder(BASE), arithmetic)
    if adapter:
        model = adapt.load(model, adapter, resolve.identity(BASE), trainable=False)
    settings = predictions.generation(options)
    return partial(generate.generate, model.eval(), tokenizer, settings=settings, seed=runtime.seed)
