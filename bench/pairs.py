"""Pair mining against a known truth: recall@1 of `mine` beside that of a TF-IDF nearest neighbour.

    python -m bench.pairs FILE.jsonl.gz ... [--encoder models/encoder.json]

Each line of a file holds a text and a talk that belong together (`text_id`, `title`, `source_text`; `talk_id`,
`talk_title`, `talk_text`). recall@1, talk to text: the share of talks whose first-ranked text, among all distinct texts
of the file, is one of their own; text to talk the other way round. No summary is read. The TF-IDF baseline is
scikit-learn's default with sublinear counts, on whole source texts.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from breviary.data import pairs
from breviary.data.chunks import windows
from breviary.data.pair_report import Truth
from breviary.data.sentences import Offsets
from breviary.model import encoder, resolve
from breviary.records import Chunk, Document

WINDOW = {"max_tokens": 200, "overlap_tokens": 40, "min_tokens": 20}  # word-pieces of the encoder


def read(path: Path) -> tuple[list[Document], list[Document], Truth]:
    """The distinct texts and talks of a file, and which belong together."""
    texts: dict[str, Document] = {}
    talks: dict[str, Document] = {}
    truth: Truth = set()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            text, talk = row["text_id"], row["talk_id"]
            texts[text] = Document("text", row["title"], row["source_text"], source=text, id=text)
            talks[talk] = Document("talk", row["talk_title"], row["talk_text"], source=talk, id=talk)
            truth.add((text, talk))
    return [texts[id_] for id_ in sorted(texts)], [talks[id_] for id_ in sorted(talks)], truth


def chunked(documents: list[Document], offsets: Offsets) -> list[Chunk]:
    """Every document cut into windows, all in one split."""
    return [
        Chunk(document.id, document.domain, "test", index, start, end, tokens, document.text[start:end])
        for document in documents
        for index, (start, end, tokens) in enumerate(windows(document.text, offsets, **WINDOW))
    ]


def tfidf(texts: list[Document], talks: list[Document], truth: Truth) -> tuple[float, float]:
    """recall@1 of the baseline: talk to text, text to talk."""
    counted = csr_matrix(TfidfVectorizer(sublinear_tf=True).fit_transform([each.text for each in texts + talks]))
    rows = counted.toarray()
    score = rows[: len(texts)] @ rows[len(texts) :].T
    to_text = [(texts[best].id, talks[place].id) in truth for place, best in enumerate(score.argmax(0))]
    to_talk = [(texts[place].id, talks[best].id) in truth for place, best in enumerate(score.argmax(1))]
    return float(np.mean(to_text)), float(np.mean(to_talk))


def ours(
    texts: list[Document], talks: list[Document], truth: Truth, encode: Callable[..., object], offsets: Offsets
) -> dict[str, float]:
    """What `mine` measures of itself, with the thresholds off so that only the ranking counts."""
    values = {"left": "text", "right": "talk", "per_document": 1, "neighbours": 4, "min_margin": 0.0}
    rest = {"min_cosine": -1.0, "lexical_share": 0.9, "near_duplicate": 1.0}
    options = pairs.Options.model_validate({**values, **rest})
    documents = texts + talks
    return pairs.mine(documents, chunked(documents, offsets), encode, options, truth).report["truth"]  # type: ignore[arg-type]


@click.command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--encoder", "record", default="models/encoder.json", type=click.Path(path_type=Path), show_default=True)
@click.option(
    "--folder", type=click.Path(exists=True, path_type=Path), help="Weights in a folder, instead of a record."
)
def main(files: tuple[Path, ...], record: Path, folder: Path | None) -> None:
    model = encoder.load(folder or resolve.folder(record))
    click.echo(f"{'file':28} {'texts':>5} {'talks':>5}  {'talk->text':>21}  {'text->talk':>21}  {'mutual pairs':>16}")
    click.echo(
        f"{'':28} {'':5} {'':5}  {'TF-IDF':>10} {'ours':>10}  {'TF-IDF':>10} {'ours':>10}  {'prec.':>8}{'recall':>8}"
    )
    for file in files:
        texts, talks, truth = read(file)
        lexical, mined = tfidf(texts, talks, truth), ours(texts, talks, truth, model.encode, model.offsets)
        click.echo(
            f"{file.name.split('.')[0]:28} {len(texts):5} {len(talks):5}  "
            f"{lexical[0]:10.3f} {mined['recall_at_1_right']:10.3f}  "
            f"{lexical[1]:10.3f} {mined['recall_at_1_left']:10.3f}  "
            f"{mined['precision']:8.3f}{mined['recall']:8.3f}"
        )


if __name__ == "__main__":
    main()
