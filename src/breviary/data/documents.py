"""All sources in, one list of documents out, and a count of everything that was repaired or left out.

Two documents are duplicates when their texts have the same words in the same order, whatever the spelling of case,
space and punctuation. The one with a reference stays, then the one with the smaller id.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import indent
from typing import Any

from pydantic import Field, model_validator
from tqdm import tqdm

from breviary import catalogue, config
from breviary.data.cleaning import clean, clean_timed
from breviary.data.intake import (
    DUPLICATE,
    EMPTY,
    LONG_REFERENCE,
    NO_REFERENCE,
    OVER_SIZE_LIMIT,
    REASONS,
    REPAIRS,
    TOO_SHORT,
    Found,
    Rejected,
)
from breviary.errors import ConfigError, DataError, listed
from breviary.records import Document, content_hash

SOURCES = "breviary.data.sources"


class Options(config.Options):
    """Section `data`: where documents come from and which are good enough."""

    root: str = Field(min_length=1)  # DVC watches this folder: dvc.yaml names it as a dependency of `download`
    sources: list[catalogue.kind_of(SOURCES)] = Field(min_length=1)  # type: ignore[valid-type]
    min_words: int = Field(ge=0)
    max_characters: int = Field(ge=1)
    require_summary: bool
    max_summary_words: int = Field(ge=1)
    max_dropped_share: float = Field(ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _local_sources_are_watched(self) -> "Options":
        """A local source elsewhere could change and DVC would not notice."""
        root = os.path.abspath(self.root)
        for number, source in enumerate(self.sources):
            for key in ("path", "details"):
                path = getattr(source, key, "")
                if path and os.path.commonpath([os.path.abspath(path), root]) != root:
                    raise ConfigError(
                        f"sources.{number}.{key}: '{path}' lies outside data.root '{self.root}', the folder that DVC "
                        "watches; set data.root to a folder that holds every local source"
                    )
        return self


@dataclass(frozen=True)
class Collection:
    """The documents by id, what `metrics/download.json` says of them, and the ones that were left out."""

    documents: list[Document]
    report: dict[str, Any]
    dropped: list[Rejected]


def collect(options: Options, *, cache: Path) -> Collection:
    """Read every source. Raises DataError if nothing is left, or if more than `max_dropped_share` is dropped."""
    kept, dropped, repairs = list[Found](), list[Rejected](), Counter[str]()
    by_source = dict[str, dict[str, int]]()
    if not Path(options.root).exists():
        raise DataError(f"{options.root}: no such folder; set data.root to the folder that holds the documents")
    for number, source in enumerate(options.sources, 1):
        found, rejected = _read(source, options, cache, f"source {number}")
        if not found and not rejected:
            raise DataError(f"data.sources[{number - 1}] ({source.kind}): no document at all; check where it points to")
        kept += found
        dropped += rejected
        by_source[f"{number}_{source.kind}"] = {"kept": len(found), "dropped": len(rejected)}
    documents, duplicates = distinct(each.document for each in kept)
    dropped += duplicates
    stays = {(document.id, document.source) for document in documents}
    for each in kept:
        repairs.update(each.repairs if (each.document.id, each.document.source) in stays else ())
    _check_share(documents, dropped, options)
    return Collection(documents, _report(documents, dropped, repairs, by_source), dropped)


def _read(source: Any, options: Options, cache: Path, label: str) -> tuple[list[Found], list[Rejected]]:
    found, rejected = list[Found](), list[Rejected]()
    module = catalogue.resolve(SOURCES, source.kind)
    for item in tqdm(module.read(source, cache=cache), desc=label, disable=None, unit="documents"):
        judged = item if isinstance(item, Rejected) else judge(item, options)
        (rejected if isinstance(judged, Rejected) else found).append(judged)  # type: ignore[arg-type]
    return found, rejected


def judge(found: Found, options: Options) -> Found | Rejected:
    """The document, repaired, or the reason why it is of no use."""
    repaired = repair(found)
    document = repaired.document
    words = len(document.text.split())
    reason, detail = "", ""
    if not words:
        reason, detail = EMPTY, "no words"
    elif len(document.text) > options.max_characters:
        reason, detail = (
            OVER_SIZE_LIMIT,
            f"{len(document.text)} characters; data.max_characters is {options.max_characters}",
        )
    elif words < options.min_words:
        reason, detail = TOO_SHORT, f"{words} words; data.min_words is {options.min_words}"
    elif options.require_summary and not document.summary:
        reason, detail = NO_REFERENCE, "no reference summary, and data.require_summary is true"
    elif (length := len(document.summary.split())) > options.max_summary_words:
        reason, detail = (
            LONG_REFERENCE,
            f"a reference of {length} words; data.max_summary_words is {options.max_summary_words}",
        )
    return Rejected(document.source, reason, detail) if reason else repaired


def repair(found: Found) -> Found:
    """The same document with clean texts and the id that belongs to them."""
    document = found.document
    text, times, repairs = clean_timed(document.text.rstrip(), document.times)
    if not times:
        text = text.strip()
    cleaned = {
        name: clean(getattr(document, name)) for name in ("title", "summary", "domain", "source", "licence", "group")
    }
    made = dict.fromkeys([*found.repairs, *repairs, *(each for _, done in cleaned.values() for each in done)])
    parts = {name: value.strip() for name, (value, _) in cleaned.items()}
    return Found(replace(document, **parts, text=text, times=times, id=""), tuple(made))


def distinct(documents: Iterable[Document]) -> tuple[list[Document], list[Rejected]]:
    """One document for each text, sorted by id, and the others as rejects that name it."""
    first, duplicates = dict[str, Document](), list[Rejected]()
    for document in sorted(documents, key=lambda each: (not each.summary, each.id, each.source)):
        kept = first.setdefault(content_hash(*re.findall(r"\w+", document.text.casefold())), document)
        if kept is not document:
            duplicates.append(Rejected(document.source, DUPLICATE, f"the same text as {kept.source}"))
    return sorted(first.values(), key=lambda each: each.id), duplicates


def _check_share(documents: Sequence[Document], dropped: Sequence[Rejected], options: Options) -> None:
    total = len(documents) + len(dropped)
    if documents and len(dropped) <= options.max_dropped_share * total:
        return
    lines = listed([f"{each.source}: {each.reason}: {each.detail}" for each in dropped])
    shown = "\n" + indent(lines, "  ")
    if not documents:
        raise DataError(f"none of {total} documents is left; mend them or relax data.*:{shown}")
    raise DataError(
        f"{len(dropped)} of {total} documents ({len(dropped) / total:.1%}) were dropped; data.max_dropped_share is "
        f"{options.max_dropped_share:g}. Mend them, leave them out of the sources, or raise the share:{shown}"
    )


def _report(
    documents: Sequence[Document],
    dropped: Sequence[Rejected],
    repairs: Counter[str],
    by_source: dict[str, dict[str, int]],
) -> dict[str, Any]:
    reasons = Counter(each.reason for each in dropped)
    return {
        "documents": len(documents),
        "dropped": {reason: reasons[reason] for reason in REASONS},
        "dropped_share": round(len(dropped) / (len(documents) + len(dropped)), 6),
        "repaired": {each: repairs[each] for each in REPAIRS},
        "sources": by_source,
        "domains": {name: _domain(documents, name) for name in sorted({each.domain for each in documents})},
    }


def _domain(documents: Sequence[Document], name: str) -> dict[str, int | float]:
    own = [each for each in documents if each.domain == name]
    with_reference = [each for each in own if each.summary]
    return {
        "documents": len(own),
        "with_reference": len(with_reference),
        "reference_copied_in_text": sum(each.summary in each.text for each in with_reference),
        "mean_words": round(sum(len(each.text.split()) for each in own) / len(own), 1),
        "mean_reference_words": round(
            sum(len(each.summary.split()) for each in with_reference) / max(len(with_reference), 1), 1
        ),
    }
