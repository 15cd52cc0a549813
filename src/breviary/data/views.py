"""Both texts of a mined pair in token ids, for terms that compare what the model makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from breviary.data.prompts import Prompter
from breviary.errors import DataError, listed
from breviary.records import Example


@dataclass(frozen=True)
class View:
    """The beginning of a prompt: the instruction, then as much of one document as fits."""

    document: str  # its id
    ids: list[int]
    first: int  # where the document's own tokens begin


@dataclass(frozen=True)
class Twin:
    """One pair."""

    left: View
    right: View


def twins(examples: Sequence[Example], prompter: Prompter, max_tokens: int) -> list[Twin]:
    """One for each of `examples`: its document on the left, its partner on the right, `max_tokens` of each at most.

    Raises one DataError for all documents that have not one token.
    """
    made, problems = [], []
    for example in examples:
        sides = []
        for document, text in ((example.document, example.text), (example.partner_document, example.partner)):
            try:
                sides.append(_view(document, text, prompter, max_tokens))
            except DataError as error:
                problems.append(f"pair {example.id}: document {document or '(no partner)'}: {error}")
        if len(sides) == 2:
            made.append(Twin(*sides))
    if problems:
        raise DataError(listed(problems, "leave such documents out of data.sources, or run `dvc repro mix`"))
    return made


def _view(document: str, text: str, prompter: Prompter, max_tokens: int) -> View:
    """A prompt without its end, so that a document is read here as it is when it is summarised."""
    first, ids = len(prompter.prefix), prompter.prompt(text).ids
    end = min(first + max_tokens, len(ids) - len(prompter.suffix))
    return View(document, ids[:end], first)
