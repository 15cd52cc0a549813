"""A data set of the Hugging Face hub, at one pinned revision, through the `datasets` library.

The library runs no code of the data set's repository (since version 4), and its pickle reader is switched off. A
mirror is chosen with the environment variable HF_ENDPOINT, which both hub libraries read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from breviary import config
from breviary.data import rows
from breviary.data.intake import Found, Rejected
from breviary.errors import DataError
from breviary.records import Document


class Options(config.Options):
    """Which rows of which data set, and which fields mean what."""

    kind: Literal["huggingface"]
    repository: str = Field(pattern=r"^\w[\w.-]*/\w[\w.-]*$")  # owner/name
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")  # a commit, not a branch: branches move
    config: str = ""  # the data set's own name for a variant, such as "3.0.0"
    split: str = Field(pattern=r"^\w+$")
    domain: str = ""
    licence: str = ""
    fields: rows.Fields = rows.Fields()
    where: dict[str, rows.Scalar] = Field(default={})
    limit: int | None = Field(default=None, ge=1)  # documents, chosen by a hash of their ids
    max_retries: int = Field(default=5, ge=0, le=20)  # with growing pauses


def read(options: Options, *, cache: Path) -> Iterator[Found | Rejected]:
    """The documents of the split. The table stays in `cache`, and each file in the hub's own cache (HF_HOME)."""
    if Path(options.repository).exists():
        raise DataError(
            f"{options.repository}: a local path of that name would be read instead; use kind folder or jsonl"
        )
    # a cache of its own for each revision: with the hub out of reach, the library takes the newest that it finds
    table = _load(options, cache / "huggingface" / options.revision)
    unused = rows.unused(options.fields, table.column_names)
    if unused:
        raise DataError("\n".join(f"{options.repository}: {line}" for line in unused))
    documents = rows.sample(_documents(table, options), options.limit)
    if not documents:
        raise DataError(f"{options.repository}: no row of '{options.split}' matches where: {options.where}")
    for document in documents:
        yield Found(document)


def _documents(table: Any, options: Options) -> Iterator[Document]:
    for number, row in enumerate(table):
        if rows.matches(row, options.where):
            where = f"{options.repository}[{options.split}][{number}]"
            made = rows.document(row, options.fields, domain=options.domain, licence=options.licence, where=where)
            yield made if made.source else rows.numbered(made, f"{options.split}:{number}")


def _load(options: Options, cache: Path) -> Any:
    import datasets
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()  # they do not ask whether they write to a terminal
    try:
        return datasets.load_dataset(
            options.repository,
            options.config or None,
            split=options.split,
            revision=options.revision,
            cache_dir=str(cache),
            download_config=datasets.DownloadConfig(max_retries=options.max_retries, user_agent="breviary/0.1"),
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{options.repository}@{options.revision[:12]}: cannot be loaded ({type(error).__name__}: {error}); "
            "what was fetched is kept: run the stage again, or check repository, revision, config and split"
        ) from None
    finally:
        if shown:
            enable_progress_bars()
