"""What a model would have bet on people's own summaries, and on plain text: the measures of learning and forgetting.

    summary   nats of the reference summary after the very prompt that training uses: how well a domain is known. Far
              less noisy than a score of generated text, since nothing is drawn and every token counts
    text      nats of the document's own beginning, without a prompt: what the model knows of language in general, and
              what a constraint that protects the pretrained weights (OPLoRA, arXiv:2510.13003) is there for

Text starts with what the backbone's tokenizer puts before any text; where that is nothing, the first token is given and
the second is the first that is predicted.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from tqdm import tqdm

from breviary import config
from breviary.data import prompts, tokens
from breviary.errors import ConfigError, ModelError
from breviary.model import compute, memory, resolve
from breviary.records import Document, Example, Likelihood
from breviary.summarise import backbone

SECTIONS = (*backbone.SECTIONS, "likelihood")
NOT_MEASURED = (0.0, 0)
DIGITS = 3  # of nats, of which a document has hundreds: what rounding in fp32 leaves sure, on a busy machine too


class Options(config.Options):
    """Section `likelihood`: which documents are measured, and how."""

    split: Literal["train", "valid", "test"]
    limit: int | None = Field(ge=1)  # documents of each domain; null: all
    batch_size: int = Field(ge=1, le=4096)  # documents
    text_tokens: int = Field(ge=0)  # of a document's beginning that are predicted without a prompt; 0: none


def loaded(params: config.Params, adapter: Path | None) -> Any:
    """The backbone, with `adapter` if there is one. Raises for options that do not fit it before it is loaded."""
    from breviary.learn.likelihood import POSITIONS

    options = params.section("likelihood", Options)
    base = backbone.record(adapter)
    window = resolve.window(base)
    if options.text_tokens > window:
        raise ConfigError(
            f"likelihood.text_tokens={options.text_tokens} exceeds the backbone's window of {window} tokens"
        )
    arithmetic, prompting = params.section("compute", compute.Options), params.section("prompt", prompts.Options)
    needed = memory.for_likelihood(backbone.shape(base), arithmetic, prompting, options, POSITIONS)
    return backbone.load(params, adapter, "likelihood", needed, base)


def measure(
    name: str, model: Any, documents: Sequence[Document], prompter: prompts.Prompter, options: Options
) -> list[Likelihood]:
    """The likelihoods under `model`, which is called `name`, by document id.

    Raises DataError where a reference exceeds the prompt's budget, ModelError where a number is not finite.
    """
    from breviary.data import batches

    ordered = sorted(documents, key=lambda each: each.id)
    asked = batches.rows([_example(document) for document in ordered], prompter)
    bare = [row for document in ordered for row in _text_row(document, prompter.tokenizer, options.text_tokens)]
    summary, text = (_nats(name, model, rows, prompter.tokenizer.pad, options.batch_size) for rows in (asked, bare))
    return [
        Likelihood(each.id, each.domain, name, *summary[each.id], *text.get(each.id, NOT_MEASURED)) for each in ordered
    ]


def means(measured: Sequence[Likelihood]) -> dict[str, float]:
    """Nats a token over all documents, for the log: every token counts the same, as in a validation loss."""
    found = {"documents": float(len(measured))}
    for what in ("summary", "text"):
        if tokens := sum(getattr(each, f"{what}_tokens") for each in measured):
            nats = sum(getattr(each, f"{what}_nats") for each in measured)
            found |= {f"{what}_tokens": float(tokens), f"{what}_nats_per_token": nats / tokens}
    return found


def _example(document: Document) -> Example:
    named = {"document": document.id, "domain": document.domain, "origin": document.domain, "id": document.id}
    return Example(title=document.title, text=document.text, summary=document.summary, **named)


def _text_row(document: Document, tokenizer: tokens.Tokenizer, limit: int) -> list[Any]:
    """The beginning of `document` as a row; none where there is nothing to predict."""
    from breviary.data.batches import Row

    opening = tokenizer.encode_markup("", add_special_tokens=True)
    ids = tokenizer.encode(document.text.strip())[:limit]
    given, target = (opening, ids) if opening else (ids[:1], ids[1:])
    return [Row(document.id, given, target)] if target else []


def _nats(name: str, model: Any, rows: Sequence[Any], pad: int, batch_size: int) -> dict[str, tuple[float, int]]:
    """Nats and tokens of each row, by document."""
    from breviary.learn import likelihood

    found: dict[str, float] = {}
    with tqdm(total=len(rows), desc="likelihood", unit="documents", disable=None) as bar:
        for batch in likelihood.nats(model, rows, batch_size=batch_size, pad=pad):
            found |= batch
            bar.update(len(batch))
    if broken := [row.example for row in rows if not math.isfinite(found[row.example])]:
        raise ModelError(
            f"{name}: the likelihood of document {broken[0]} is not finite (of {len(broken)} of {len(rows)}); "
            f"the weights of this model hold numbers that are not, or overflow in compute.precision"
        )
    return {row.example: (round(found[row.example], DIGITS), len(row.target)) for row in rows}
