"""A registered model, loaded from its files alone: wherever they are, and whatever project is around."""

from collections.abc import Callable, Sequence
from pathlib import Path

from breviary import config
from breviary.errors import DataError
from breviary.summarise import backbone, predictions, summariser

Summarise = Callable[..., list[str]]


def params(file: Path) -> config.Params:
    """The sections that a version is served with."""
    return config.read(file, {name: config.SECTIONS[name] for name in sorted({*summariser.SECTIONS})})


def load(adapter: Path, base: Path, settings: Path) -> Summarise:
    """A function from texts, and `max_tokens` if other than measured, to summaries. The model is loaded once.

    It raises DataError naming the row of a text without words, and for a `max_tokens` that cannot be.
    """
    served = params(settings)
    options = served.section("predict", predictions.Options)
    most = options.max_new_tokens
    prompter = backbone.prompter(served, base)
    model = summariser.loaded(served, adapter, base)

    def summarise(texts: Sequence[str], max_tokens: int = most) -> list[str]:
        if not 1 <= max_tokens <= most:
            raise DataError(f"max_tokens is {max_tokens}; this model writes 1 to {most}")
        if empty := [str(row) for row, text in enumerate(texts) if not str(text or "").strip()]:
            raise DataError(f"text of row {', '.join(empty)} has no words; leave such rows out")
        shorter = options.model_copy(update={"max_new_tokens": max_tokens})
        write = summariser.writer(served, model, prompter.tokenizer, shorter)
        return [write([prompter.prompt(text)])[0].text for text in texts]  # alone: the same text gives the same summary

    return summarise
