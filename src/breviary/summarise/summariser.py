"""A model ready to summarise: backbone, adapter, prompt and decoding, together, for `predict` and the command line."""

from functools import partial
from pathlib import Path
from typing import Any

from breviary import config
from breviary.data import prompts, tokens
from breviary.model import compute, memory
from breviary.summarise import backbone, predictions

SECTIONS = (*backbone.SECTIONS, "predict")


def loaded(params: config.Params, adapter: Path | None, base: Path = backbone.BASE) -> Any:
    """The backbone whose record is at `base`, with `adapter` if there is one, ready to write summaries.

    Raises ResourceError before anything is loaded where memory will not do.
    """
    options = params.section("predict", predictions.Options)
    arithmetic = params.section("compute", compute.Options)
    prompting = params.section("prompt", prompts.Options)
    needed = memory.for_prediction(backbone.shape(base), arithmetic, prompting, options)
    return backbone.load(params, adapter, "generation", needed, base, merged=True)


def generator(
    params: config.Params, adapter: Path | None, tokenizer: tokens.Tokenizer, base: Path = backbone.BASE
) -> predictions.Generate:
    """The model that `loaded` gives as a function from prompts to texts."""
    return writer(params, loaded(params, adapter, base), tokenizer, params.section("predict", predictions.Options))


def writer(
    params: config.Params, model: Any, tokenizer: tokens.Tokenizer, options: predictions.Options
) -> predictions.Generate:
    """A function from prompts to the texts that `model` writes as `options` say."""
    from breviary.model import generate

    settings, seed = predictions.generation(options), params.section("runtime", config.Runtime).seed
    return partial(generate.generate, model, tokenizer, settings=settings, seed=seed)
