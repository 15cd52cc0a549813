"""Cut every document into windows of the backbone's own tokens, and give each document its split."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click
from tqdm import tqdm

from breviary import artifacts, stage
from breviary.data import chunks, tokens
from breviary.model import resolve
from breviary.records import Document

DOCUMENTS, BASE = Path("data/documents.jsonl"), Path("models/base.json")


@click.command()
def main() -> None:
    """Write data/chunks.jsonl, data/splits.json and metrics/chunk.json."""
    with stage.running("chunk", sections=("runtime", "chunk"), reads=(DOCUMENTS, BASE)) as run:
        options = run.params.section("chunk", chunks.Options)
        documents = artifacts.read_records(DOCUMENTS, Document)
        split_of = chunks.drawn(documents, options.split, run.runtime.seed)
        offsets = tokens.load(resolve.folder(BASE)).offsets
        shown = tqdm(documents, disable=None, unit="documents", desc="chunk")
        found = chunks.chunk(shown, split_of, offsets, options)
        artifacts.write_records(Path("data/chunks.jsonl"), found)
        artifacts.write_json(Path("data/splits.json"), split_of)
        report = {
            "documents": _table((each.domain, split_of[each.id]) for each in documents),
            "chunks": _table((each.domain, each.split) for each in found),
            "tokens": sum(each.tokens for each in found),
            "tokens_per_chunk": round(sum(each.tokens for each in found) / len(found), 2),
        }
        artifacts.write_json(Path("metrics/chunk.json"), report)
        run.run.metrics({"documents": len(documents), "chunks": len(found), "tokens": report["tokens"]})
        print(f"{len(found)} windows of {len(documents)} documents: {report['documents']}")


def _table(rows: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """{domain: {split: how many}}"""
    counted = Counter(rows)
    return {
        domain: {split: counted[domain, split] for split in chunks.SPLITS} for domain in sorted({d for d, _ in counted})
    }


if __name__ == "__main__":
    main()
