"""Which passages are like a passage, and which are central to all: the retrieval behind distillation and `extract`.

An `Index` reads texts once and then gives rows of their similarity matrix on demand, so that no matrix of all pairs is
ever held. Three of them:

    dense(embed)   cosine of unit embeddings (Reimers & Gurevych 2019, arXiv:1908.10084)
    tfidf          cosine of TF-IDF vectors, 1 + log of each count
    bm25           BM25 in Lucene's form (Robertson & Zaragoza 2009, section 3), by bm25s (arXiv:2407.03618); of the
                   passage that asks, each distinct word counts once

References are never read: what is retrieved from are passages of source texts alone.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import regex
from jaxtyping import Float
from numpy import ndarray

from breviary.errors import ConfigError, DataError
from breviary.records import Chunk

Rows = Callable[[Sequence[int]], Float[ndarray, "rows texts"]]  # positions of texts -> their similarity to every text
Index = Callable[[Sequence[str]], Rows]
Embed = Callable[[Sequence[str]], Any]  # texts -> unit rows: Float[ndarray, "texts width"], or what numpy can read so

UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
WORD = regex.compile(rf"{UNSPACED}\p{{M}}*|(?:(?!{UNSPACED})[\p{{L}}\p{{M}}\p{{N}}])+")
BLOCK = 256  # rows of a similarity matrix that are held at once


@dataclass(frozen=True)
class Neighbour:
    """Another passage, and how like it is to the one that asked."""

    chunk: Chunk
    score: float


def nearest(
    chunks: Sequence[Chunk], k: int, index: Index, *, pool: Sequence[Chunk] = (), floor: float = 0.0
) -> dict[str, list[Neighbour]]:
    """For each of `chunks`, by id, the `k` most similar other chunks, best first; equal scores in reading order.

    Candidates are the chunks of the same document and those of `pool`, which must all be of the split `train`; never
    the chunk itself or one with the same text, and none whose score does not exceed `floor`. Chunks of different splits
    are never counted together, so that not even the frequency of a word leaks from one into another.
    Raises DataError where `pool` holds a chunk of another split, ConfigError where k is below 1.
    """
    if k < 1:
        raise ConfigError(f"k={k}: at least one neighbour must be asked for; leave retrieval out instead")
    if foreign := [each for each in pool if each.split != "train"]:
        raise DataError(
            f"{len(foreign)} of {len(pool)} chunks to retrieve from are not of split 'train', the first of document "
            f"{foreign[0].document} ('{foreign[0].split}'); leave validation and test out of the index"
        )
    by_split: dict[str, dict[str, Chunk]] = defaultdict(dict)
    for chunk in chunks:
        by_split[chunk.split][chunk.id] = chunk
    found: dict[str, list[Neighbour]] = {}
    for split in sorted(by_split):
        found |= _within(by_split[split], k, index, {each.id: each for each in pool}, floor)
    return {chunk.id: found[chunk.id] for chunk in chunks}


def _within(
    asking: Mapping[str, Chunk], k: int, index: Index, pool: Mapping[str, Chunk], floor: float
) -> dict[str, list[Neighbour]]:
    """The neighbours of chunks of one split."""
    known = sorted({**pool, **asking}.values(), key=lambda each: (each.document, each.index, each.id))
    rows = index([each.text for each in known])
    owners: dict[str, list[int]] = defaultdict(list)
    for place, chunk in enumerate(known):
        owners[chunk.document].append(place)
    shared = [place for place, chunk in enumerate(known) if chunk.id in pool]
    found: dict[str, list[Neighbour]] = {}
    asked = [place for place, chunk in enumerate(known) if chunk.id in asking]
    for at in range(0, len(asked), BLOCK):
        places = asked[at : at + BLOCK]
        for place, scores in zip(places, rows(places), strict=True):
            own = known[place]
            allowed = sorted({*owners[own.document], *shared} - {place}) if shared else owners[own.document]
            others = [each for each in allowed if each != place and known[each].text != own.text]
            ranked = sorted((each for each in others if scores[each] > floor), key=lambda each: -scores[each])
            found[own.id] = [Neighbour(known[each], float(scores[each])) for each in ranked[:k]]
    return found


def central(rows: Rows, sizes: Sequence[int], room: int, *, diversity: float) -> list[int]:
    """The passages to read where only `room` tokens can be read: central to the whole, and not twice the same.

        choose argmax over those that fit  (1 - diversity) c_i / max c  -  diversity max_{j chosen} s_ij / max s_j
        c_i = mean_j s_ij, which for unit vectors is the cosine to the centroid, but for one factor

    Maximal marginal relevance (Carbonell & Goldstein 1998), each part scaled to at most 1 so that they can be weighed.
    Passage i has `sizes[i]` tokens. Positions come back in the order of the source; equal values prefer the earlier.
    Raises DataError where no passage fits.
    """
    centrality = _centrality(rows, len(sizes))
    redundancy = np.zeros(len(sizes))
    chosen: list[int] = []
    left, open_ = room, set(range(len(sizes)))
    while fitting := [place for place in sorted(open_) if sizes[place] <= left]:
        value = (1 - diversity) * centrality - diversity * redundancy
        best = max(fitting, key=lambda place: (value[place], -place))
        chosen.append(best)
        open_.remove(best)
        left -= sizes[best]
        redundancy = np.maximum(redundancy, _scaled(rows([best])[0]))
    if not chosen:
        raise DataError(f"no passage fits {room} tokens; the shortest has {min(sizes, default=0)}")
    return sorted(chosen)


def _centrality(rows: Rows, count: int) -> Float[ndarray, " texts"]:
    blocks = [rows(range(at, min(at + BLOCK, count))).mean(axis=1) for at in range(0, count, BLOCK)]
    return _scaled(np.concatenate(blocks)) if blocks else np.zeros(0)


def _scaled(values: Float[ndarray, " texts"]) -> Float[ndarray, " texts"]:
    """`values` over the largest of them; zeros where none is above 0."""
    largest = float(values.max(initial=0.0))
    return values.astype(np.float64) / largest if largest > 0 else np.zeros(len(values))


def dense(embed: Embed) -> Index:
    """Cosine of the embeddings that `embed` makes. Each text is embedded once."""

    def index(texts: Sequence[str]) -> Rows:
        vectors = np.asarray(embed(list(texts)), dtype=np.float32) if texts else np.zeros((0, 1), np.float32)
        return lambda places: vectors[list(places)] @ vectors.T

    return index


def tfidf(texts: Sequence[str]) -> Rows:
    """Cosine of TF-IDF vectors; a text without a word is like none, itself included."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(words(text) for text in texts):
        return lambda places: np.zeros((len(places), len(texts)), np.float32)
    kind: Any = TfidfVectorizer  # whose types do not say that `analyzer` may be a function
    vectors = kind(analyzer=words, sublinear_tf=True, dtype=np.float32).fit_transform(texts)
    return lambda places: (vectors[list(places)] @ vectors.T).toarray()


def bm25(texts: Sequence[str]) -> Rows:
    """BM25 of every text as an answer to the words of another. Not symmetric, and not below 0."""
    import bm25s

    read = [words(text) for text in texts]
    if not any(read):
        return lambda places: np.zeros((len(places), len(texts)), np.float32)
    retriever = bm25s.BM25(method="lucene")
    retriever.index(read, show_progress=False)

    def rows(places: Sequence[int]) -> Float[ndarray, "rows texts"]:
        queries = [sorted(set(read[place])) for place in places]
        nothing = np.zeros(len(texts), np.float32)
        return np.stack([retriever.get_scores(query) if query else nothing for query in queries])

    return rows


def words(text: str) -> list[str]:
    """The words of `text` in lower case; in scripts without spaces a character is a word."""
    return WORD.findall(text.lower())
