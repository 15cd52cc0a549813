"""One summary for each test document, written down batch by batch, so that a killed run loses one batch at most.

Prompts are taken longest first: padding is least, and a model that runs out of memory does so at once. What goes into
which batch depends on the prompts alone, so a resumed run makes the batches that an uninterrupted one makes. Where
`generate` depends on its batch alone too (greedy, beams, or a sampler seeded from the batch), the result is the same
to the byte.

No model is known here: `generate` takes prompts and gives as many texts.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from tqdm import tqdm

from breviary import config
from breviary.data.prompts import Generated, Prompt
from breviary.errors import DataError, ModelError
from breviary.records import Document, Prediction, content_hash


class Decoding(config.Options):
    """How the next token is chosen. Every model of one table is decoded in the same way."""

    beams: int = Field(ge=1, le=64)  # 1: no search
    sample: bool  # draw the next token, rather than take the likeliest
    temperature: float = Field(gt=0, le=10)  # used when sampling
    top_p: float = Field(gt=0, le=1)  # used when sampling
    length_penalty: float = Field(
        ge=-10, le=10
    )  # used with beams: log-probability / length^penalty, above 0 favours long
    repetition_penalty: float = Field(gt=0, le=10)  # 1: none
    no_repeat_ngram: int = Field(ge=0, le=64)  # tokens, within the summary, never counting the prompt; 0: none


class Options(config.Options):
    """Section `predict`: which documents are summarised, and how."""

    split: Literal["train", "valid", "test"]
    limit: int | None = Field(ge=1)  # documents of each domain; null: all
    batch_size: int = Field(ge=1, le=4096)  # prompts
    max_new_tokens: int = Field(ge=1)
    decoding: Decoding


Generate = Callable[[list[Prompt]], list[Generated]]


def generation(options: Options) -> dict[str, Any]:
    """The settings under transformers' names, without those that its chosen strategy would ignore with a warning.

    `no_repeat_ngram` keeps our name: the library's own setting would count the prompt's n-grams too.
    """
    chosen = options.decoding
    always = {
        "max_new_tokens": options.max_new_tokens,
        "num_beams": chosen.beams,
        "do_sample": chosen.sample,
        "repetition_penalty": chosen.repetition_penalty,
        "no_repeat_ngram": chosen.no_repeat_ngram,
    }
    # transformers would also keep the 50 likeliest tokens alone
    sampling = {"temperature": chosen.temperature, "top_p": chosen.top_p, "top_k": 0} if chosen.sample else {}
    search = {"length_penalty": chosen.length_penalty} if chosen.beams > 1 else {}
    return always | sampling | search


def select(documents: Iterable[Document], split_of: Mapping[str, str], split: str, limit: int | None) -> list[Document]:
    """The documents of `split` that have a reference to be scored with, at most `limit` of each domain, by id.

    Ids are hashes of content, so the first few of them are a sample without a bias, and always the same one.
    """
    by_domain: dict[str, list[Document]] = defaultdict(list)
    for document in sorted(documents, key=lambda each: each.id):
        if split_of[document.id] == split and document.summary.strip():
            by_domain[document.domain].append(document)
    chosen = [document for domain in sorted(by_domain) for document in by_domain[domain][:limit]]
    if not chosen:
        raise DataError(f"split '{split}' has no document with a reference summary; see chunk.split and data.sources")
    return sorted(chosen, key=lambda each: each.id)


def batches(prompts: Mapping[str, Prompt], size: int) -> list[list[str]]:
    """Document ids in the batches that are generated together, longest prompt first, ties by id."""
    order = sorted(prompts, key=lambda name: (-len(prompts[name].ids), name))
    return [order[at : at + size] for at in range(0, len(order), size)]


def predict(
    prompts: Mapping[str, Prompt],
    generate: Generate,
    scratch: Path | None,
    *,
    batch_size: int,
    what: str = "predict",
    unit: str = "documents",
) -> dict[str, Generated]:
    """What `generate` answers to each prompt, by document id, in the order of the ids.

    Every finished batch is a line of the file `scratch`; the batches that stand there are not generated again.
    `scratch` must belong to this model and these settings: only the prompts are compared. Without it nothing is kept.
    `what` and `unit` stand on the progress bar.
    """
    planned = batches(prompts, batch_size)
    done = _resume(scratch, [_key(batch, prompts) for batch in planned]) if scratch else []
    answers = {
        name: answer
        for batch, line in zip(planned, done, strict=False)
        for name, answer in zip(batch, line, strict=True)
    }
    with (
        open(scratch or os.devnull, "a", encoding="utf-8", newline="\n") as file,
        tqdm(total=len(prompts), initial=len(answers), desc=what, unit=unit, disable=None) as bar,
    ):
        for batch in planned[len(done) :]:
            fresh = generate([prompts[name] for name in batch])
            if len(fresh) != len(batch):
                raise ModelError(f"{len(batch)} prompts went in and {len(fresh)} texts came out")
            line = {"batch": _key(batch, prompts), "generated": [asdict(answer) for answer in fresh]}
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            if scratch:
                os.fsync(file.fileno())
            answers.update(zip(batch, fresh, strict=True))
            bar.update(len(batch))
    return {name: answers[name] for name in sorted(answers)}


def records(
    model: str, documents: Sequence[Document], prompts: Mapping[str, Prompt], generated: Mapping[str, Generated]
) -> list[Prediction]:
    """The predictions of `model`, sorted by document id."""
    return [
        Prediction(
            document=document.id,
            domain=document.domain,
            model=model,
            summary=generated[document.id].text,
            prompt_tokens=len(prompts[document.id].ids),
            summary_tokens=generated[document.id].tokens,
            finished=generated[document.id].finished,
            truncated=prompts[document.id].truncated,
        )
        for document in sorted(documents, key=lambda each: each.id)
    ]


def _key(batch: Sequence[str], prompts: Mapping[str, Prompt]) -> str:
    return content_hash(*(f"{name} {prompts[name].ids}" for name in batch))


def _resume(scratch: Path, keys: Sequence[str]) -> list[list[Generated]]:
    """The finished batches of an earlier run; whatever follows the last whole one is cut off the file."""
    scratch.parent.mkdir(parents=True, exist_ok=True)
    done: list[list[Generated]] = []
    kept = 0  # bytes
    lines = scratch.read_bytes().splitlines(keepends=True) if scratch.is_file() else []
    for line, key in zip(lines, keys, strict=False):
        answers = _finished(line, key)
        if answers is None:
            break
        done.append(answers)
        kept += len(line)
    if lines:
        os.truncate(scratch, kept)
    return done


def _finished(line: bytes, key: str) -> list[Generated] | None:
    """What a line holds, or None if it is torn, damaged, or of another batch."""
    if not line.endswith(b"\n"):
        return None
    try:
        values = json.loads(line)
    except ValueError:
        return None
    if not isinstance(values, dict) or values.get("batch") != key:
        return None
    return [Generated(**answer) for answer in values["generated"]]
