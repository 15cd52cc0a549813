"""What mining pairs costs: random documents of one passage each, with words, so many on each side.

    python -m bench.costs_mining DOCUMENTS INDEX [--threads 2]

In a process of its own, for its peak memory, which is given after each part. `exhaustive` as INDEX compares all with
all; `torch` and `faiss` make a shortlist first. Prints one line of JSON.
"""

import json
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from bench import spent
from breviary.data import matching, neighbours, shortlist
from breviary.data.matching import Passages

WIDTH, NEIGHBOURS, SHARE, CANDIDATES = 384, 4, 0.9, 64
VOCABULARY, WORDS = 50_000, 60  # of all documents, and distinct ones of each
EXHAUSTIVE = "exhaustive"


@click.command(help=__doc__)
@click.argument("documents", type=click.IntRange(min=NEIGHBOURS))
@click.argument("index", type=click.Choice([EXHAUSTIVE, "torch", "faiss"]))
@click.option("--threads", default=2, show_default=True)
def main(documents: int, index: Any, threads: int) -> None:
    torch.set_num_threads(threads)
    left, right = side(documents, 1), side(documents, 2)
    report: dict[str, Any] = {"documents": documents, "index": index, "inputs_mib": spent.peak()}
    found: dict[str, Any] = {}
    work: dict[str, Callable[[], Any]] = {
        "embedding": lambda: shortlist.by_embedding(left, right, CANDIDATES, index),
        "words": lambda: shortlist.by_words(left, right, CANDIDATES),
        "union": lambda: shortlist.union([found["embedding"], found["words"]], documents),
        "score": lambda: shortlist.best(left, right, found["union"], SHARE, NEIGHBOURS),
    }
    if index == EXHAUSTIVE:
        block, size = matching.coverage(left, right, SHARE), matching.block_size(left, right)
        work = {"score": lambda: neighbours.best(block, documents, documents, NEIGHBOURS, size)}
    parts: dict[str, Any] = {}
    for name, part in work.items():
        taken = spent.once(lambda name=name, part=part: found.update({name: part()}))
        parts[name] = spent.seconds([taken]) | {"peak_mib": spent.peak()}
        click.echo(f"{name}: {json.dumps(parts[name])}", err=True)  # of a long run, or one that ends early
    pairs = documents**2 if index == EXHAUSTIVE else len(found["union"])
    print(json.dumps(report | {"pairs": pairs, "parts": parts}))


def side(documents: int, seed: int) -> Passages:
    """Random unit vectors, and random words of which a few are in most documents and most in a few."""
    draw = np.random.default_rng(seed)
    vectors = normalize(draw.standard_normal((documents, WIDTH), dtype=np.float32), copy=False)
    terms = (VOCABULARY * draw.random((documents, WORDS)) ** 3).astype(np.int64)
    starts = np.arange(0, terms.size + 1, WORDS)
    counts = csr_matrix((np.ones(terms.size), terms.ravel(), starts), shape=(documents, VOCABULARY))
    counts.sum_duplicates()
    held = np.maximum(1, np.bincount(counts.indices, minlength=VOCABULARY))
    weights = csr_matrix((np.log(1 + documents / held)[counts.indices], counts.indices, counts.indptr), counts.shape)
    return Passages(torch.arange(documents), torch.from_numpy(vectors), normalize(weights))


if __name__ == "__main__":
    main()
