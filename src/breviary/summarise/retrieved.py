"""Which passages of training documents a teacher summarises, and which others it is shown beside each.

Only chunks of split `train` are looked at, for what is summarised and for what is retrieved. A chunk that quotes its
document's reference summary (a sentence of `QUOTED` words or more, word for word) is left out of both: a student that
read it would be trained on what it is later compared with.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from breviary.data.chunks import TRAIN
from breviary.data.sentences import spans
from breviary.errors import DataError
from breviary.records import Chunk, Document
from breviary.summarise import retrieval
from breviary.summarise.retrieval import Index

QUOTED = 6  # words; shorter sentences are found anywhere


@dataclass(frozen=True)
class Source:
    """One chunk, and the chunks that go with it, best first."""

    chunk: Chunk
    related: tuple[Chunk, ...] = ()


def choose(
    chunks: Sequence[Chunk], documents: Sequence[Document], count: int, seed: int
) -> tuple[list[Chunk], list[Chunk]]:
    """`count` chunks to summarise, domains in turn, and all chunks that may stand beside them.

    Raises DataError where there are fewer.
    """
    references = {document.id: document.summary for document in documents}
    usable = [each for each in chunks if each.split == TRAIN and not quotes(each.text, references[each.document])]
    domains: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in sorted(usable, key=lambda each: each.id):
        domains[chunk.domain].append(chunk)
    drawn = [random.Random(f"{seed} distill {name}").sample(each, len(each)) for name, each in sorted(domains.items())]
    turns = [chunk for chunk in chain.from_iterable(zip_longest(*drawn)) if chunk is not None]
    if len(turns) < count:
        raise DataError(
            f"distill.examples: {count} passages are asked for, and split train has {len(turns)}; lower it to that"
        )
    return sorted(turns[:count], key=lambda each: each.id), usable


def beside(chosen: Sequence[Chunk], usable: Sequence[Chunk], k: int, index: Index, *, across: bool) -> list[Source]:
    """Each of `chosen` with its `k` nearest others: of its own document, or, with `across`, of all in `usable`."""
    own = {chunk.document for chunk in chosen}
    asking = [chunk for chunk in usable if chunk.document in own]
    found = retrieval.nearest(asking, k, index, pool=usable if across else ())
    return [Source(chunk, tuple(each.chunk for each in found[chunk.id])) for chunk in chosen]


def quotes(text: str, reference: str) -> bool:
    """Whether `text` holds a sentence of `reference`, whatever its punctuation and case."""
    known = f" {' '.join(retrieval.words(text))} "
    sentences = [retrieval.words(reference[start:end]) for start, end in spans(reference)]
    return any(len(each) >= QUOTED and f" {' '.join(each)} " in known for each in sentences)


def support(target: str, source: str, ignored: frozenset[str]) -> float:
    """The share of the distinct words of `target`, but for `ignored` ones, that `source` has too; 0 without a word."""
    wanted = {word for word in retrieval.words(target) if word not in ignored}
    return len(wanted & set(retrieval.words(source))) / len(wanted) if wanted else 0.0
