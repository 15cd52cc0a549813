"""A model ready to summarise: backbone, adapter, prompt and decoding, together, for `predict` and the command line."""

from functools import partial
from pathlib import Path

from breviary import config
from breviary.data import prompts, tokens
from breviary.model import compute, memory
from breviary.summarise import backbone, predictions

SECTIONS = (*backbone.SECTIONS, "predict")


def generator(
    params: config.Params, adapter: Path | None, tokenizer: tokens.Tokenizer, base: Path = backbone.BASE
) -> predictions.Generate:
    """The backbone whose record is at `base`, with `adapter` if there is one, as a function from prompts to texts.

    Raises ResourceError before anything is loaded where memory will not do.
    """
    options = params.section("predict", predictions.Options)
    arithmetic = params.section("compute", compute.Options)
    prompting = params.section("prompt", prompts.Options)
    needed = memory.for_prediction(backbone.shape(base), arithmetic, prompting, options)
    model = backbone.load(params, adapter, "generation", needed, base)

    from breviary.model import generate

    settings, seed = predictions.generation(options), params.section("runtime", config.Runtime).seed
    return partial(generate.generate, model, tokenizer, settings=settings, seed=seed)
