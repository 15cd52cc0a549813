"""Which layer of an encoder tells two summaries of one paper from summaries of two papers that are much alike.

    python -m bench.bertscore_layers papers_tldr.jsonl.gz [--encoder models/encoder.json] [--papers 200]

Each line of the file holds a paper's `all_summaries`, one sentence each by different people. A paper's first summary is
scored against its second, and against the second of the paper whose summaries are nearest by TF-IDF. The AUC is the
share of (right, wrong) pairs in which the right one has the greater F1. all-MiniLM-L6-v2, 200 papers of SciTLDR:

    layer  0     1     2     3     4     5     6
    AUC    0.619 0.621 0.614 0.607 0.637 0.709 0.759

so the last layer is the default of `bertscore` with that encoder.
"""

import gzip
import json
from pathlib import Path

import click
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from breviary.model import bertscore, resolve


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--encoder", default="models/encoder.json", type=click.Path(exists=True, path_type=Path))
@click.option("--papers", default=200, show_default=True, type=click.IntRange(min=20))
def main(file: Path, encoder: Path, papers: int) -> None:
    """Print the AUC of each layer."""
    firsts, seconds = _twice(file)
    near = _nearest(firsts, seconds)
    folder = resolve.folder(encoder)
    layers = range(bertscore.layers(folder) + 1)
    papers = min(papers, len(firsts))
    right = [(firsts[at], seconds[at]) for at in range(papers)]
    wrong = [(firsts[at], seconds[near[at]]) for at in range(papers)]
    f1 = bertscore.load(folder, layers).scores(right + wrong)[:, :, 2].numpy()
    for layer, row in zip(layers, f1, strict=True):
        print(f"layer {layer}  AUC {(row[:papers, None] > row[None, papers:]).mean():.3f}")


def _twice(file: Path) -> tuple[list[str], list[str]]:
    """The first and the second summary of each paper that has two different ones."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        found = [json.loads(line)["all_summaries"] for line in lines]
    pairs = [each[:2] for each in found if len(set(each[:2])) == 2]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _nearest(firsts: list[str], seconds: list[str]) -> np.ndarray:
    """For each first summary, the place of the second summary of another paper that is nearest to it."""
    vectors = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit([*firsts, *seconds])
    likeness = (vectors.transform(firsts) @ vectors.transform(seconds).T).toarray()
    np.fill_diagonal(likeness, -1)
    return likeness.argmax(axis=1)


if __name__ == "__main__":
    main()
