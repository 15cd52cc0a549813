"""A registered model, loaded from its files alone: wherever they are, and whatever project is around."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast, get_args

from breviary import config
from breviary.errors import DataError
from breviary.summarise import asked, hierarchy

Summarise = Callable[..., list[str]]


def params(file: Path) -> config.Params:
    """The sections that a version is served with."""
    return config.read(file, {name: config.SECTIONS[name] for name in sorted({*asked.SECTIONS})})


def load(adapter: Path, base: Path, settings: Path) -> Summarise:
    """A function from texts to summaries, as `summarise` of this project makes them. The model is loaded once.

    It raises DataError naming the row of a text without words, BudgetError for tokens or milliseconds that will not do.
    """
    answerer = asked.answerer(params(settings), adapter, base)

    def summarise(
        texts: Sequence[str], max_tokens: int = 0, max_ms: int = 0, profile: str = "", mode: str = asked.DEFAULT
    ) -> list[str]:
        if mode not in get_args(hierarchy.Mode):
            raise DataError(f"mode is '{mode}'; there is: {', '.join(get_args(hierarchy.Mode))}")
        if empty := [str(row) for row, text in enumerate(texts) if not str(text or "").strip()]:
            raise DataError(f"text of row {', '.join(empty)} has no words; leave such rows out")
        request = asked.Request(cast(hierarchy.Mode, mode), profile or None, max_tokens or None)
        return [asked.finished(answerer.answer(text, request, answerer.limit(max_ms))).text for text in texts]

    return summarise
