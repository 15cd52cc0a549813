"""One row of a table (a JSON object, a data set's record) becomes a document through a field map.

The map says which field holds what; "" means that the table has no such field. `domain` and `licence` of the source's
options fill in what the rows do not say; a `domain` in the options holds for every row.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from breviary import config
from breviary.errors import DataError
from breviary.records import Document, content_hash

Scalar = str | int | float | bool


class Fields(config.Options):
    """The field map of `jsonl`; the defaults are this project's own corpora."""

    id: str = "id"
    title: str = "title"
    text: str = "source_text"
    summary: str = "summary"
    licence: str = "license"
    group: str = "group"
    domain: str = ""


def document(row: Mapping[str, Any], names: Fields, *, domain: str, licence: str, where: str) -> Document:
    """The document that `row` holds; `where` is its address, for messages."""
    if names.text not in row:
        raise DataError(f"{where}: no field '{names.text}'; there are: {', '.join(sorted(row))}; set fields.text")
    own = _text(row, names.domain, where)
    if not (domain or own):
        raise DataError(f"{where}: no domain; set `domain` of this source, or fields.domain to the field that holds it")
    return Document(
        domain=domain or own,
        title=_text(row, names.title, where),
        text=_text(row, names.text, where),
        summary=_text(row, names.summary, where),
        source=_text(row, names.id, where),
        licence=_text(row, names.licence, where) or licence,
        group=_text(row, names.group, where),
    )


def _text(row: Mapping[str, Any], field: str, where: str) -> str:
    value = row.get(field) if field else None
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{where}: field '{field}' must be text, got {type(value).__name__}")
    return str(value)


def matches(row: Mapping[str, Any], where: Mapping[str, Scalar]) -> bool:
    """Whether every field of `where` is in `row` with exactly that value (1 is not true)."""
    return all(type(row.get(name)) is type(value) and row[name] == value for name, value in where.items())


def unused(names: Fields, seen: Iterable[str]) -> list[str]:
    """A line for each mapped field that no row has: a misspelt map must not empty a column in silence."""
    known = sorted(set(seen))
    return [
        f"fields.{part}: no row has a field '{field}'; there are: {', '.join(known)} (\"\" where there is none)"
        for part, field in sorted(names.model_dump().items())
        if field and field not in known
    ]


def sample(documents: Iterable[Document], limit: int | None) -> list[Document]:
    """At most `limit` documents, chosen by a hash of their ids: the same ones on every machine and in any order of
    rows, and a larger limit keeps those of a smaller one."""
    if limit is None:
        return list(documents)
    return heapq.nsmallest(limit, documents, key=lambda each: (content_hash(each.source), each.source))


def numbered(document: Document, source: str) -> Document:
    """The document with `source` for one that brings no id of its own."""
    return replace(document, source=source)
