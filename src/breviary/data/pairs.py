"""Pairs of documents of two domains that are about the same subject, mined from their source text alone.

Inside each split: near-duplicates go first, every document keeps its `neighbours` best of the other domain, and a pair
is taken when each is among the other's `per_document` best by ratio margin (with 1: mutual nearest neighbours) and
both scores pass their thresholds. `matching.py` has the scores; `shortlist.py` says which documents are compared where
there are too many to compare all with all. Reference summaries are never read here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from breviary import config
from breviary.data.chunks import SPLITS
from breviary.data.pair_report import Part, Reject, Truth, report
from breviary.errors import ConfigError, DataError
from breviary.records import Chunk, Document, Pair

if TYPE_CHECKING:
    from breviary.data import matching

WITHOUT = (
    "where there are no pairs to find set pairs.left, pairs.right and pairs.truth to null, and leave `pair` and "
    "`contrastive` out of mix and of the phases' terms"
)


class Shortlist(config.Options):
    """Of which documents S is made where a side has more than `above`: below, of all with all."""

    above: int = Field(default=5000, ge=0)  # documents of the larger side
    candidates: int = Field(default=64, ge=1)  # partners of a document by embedding, and as many by words
    index: Literal["torch", "faiss"] = "torch"  # what finds the nearest embeddings; both are exact


class Options(config.Options):
    """Section `pairs`."""

    left: str | None  # domains; both null: there are no pairs to look for
    right: str | None
    per_document: int = Field(ge=1)
    neighbours: int = Field(ge=1)
    min_margin: float = Field(ge=0)
    min_cosine: float = Field(ge=-1, le=1)
    lexical_share: float = Field(ge=0, le=1)
    near_duplicate: float = Field(gt=0, le=1)
    truth: str | None = None
    shortlist: Shortlist = Shortlist()

    @model_validator(mode="after")
    def _two_domains(self) -> "Options":
        if (self.left is None) != (self.right is None):
            raise ConfigError("left and right are two domains, or both null where there are no pairs to look for")
        if self.left is not None and self.left == self.right:
            raise ConfigError(f"left and right are both '{self.left}'; pairs join two domains")
        if self.per_document > self.neighbours:
            raise ConfigError(f"per_document ({self.per_document}) cannot exceed neighbours ({self.neighbours})")
        if self.neighbours > self.shortlist.candidates:
            raise ConfigError(
                f"neighbours ({self.neighbours}) cannot exceed shortlist.candidates ({self.shortlist.candidates})"
            )
        return self


@dataclass(frozen=True)
class Mined:
    """Pairs in order of split and ids, every candidate that was refused with the reason, and the measurements."""

    pairs: list[Pair]
    rejects: list[Reject]
    report: dict[str, Any]


def mine(
    documents: Iterable[Document],
    chunks: Sequence[Chunk],
    encode: "Callable[[list[str]], matching.Tensor]",
    options: Options,
    truth: Truth | None = None,
) -> Mined:
    """Mine every split. Raises DataError where a domain is missing or nothing passes, saying what came nearest."""
    from breviary.data import shortlist

    if options.left is None or options.right is None:
        return Mined([], [], report({}, [], [], None))
    shortlist.require(options.shortlist.index)
    by_id = {each.id: each for each in documents if each.domain in (options.left, options.right)}
    used = sorted((each for each in chunks if each.document in by_id), key=lambda each: (each.document, each.index))
    missing = [name for name in (options.left, options.right) if not any(each.domain == name for each in used)]
    if missing:
        have = ", ".join(sorted({each.domain for each in chunks}))
        raise DataError(f"pairs: no chunk of domain {' or '.join(missing)}; the documents have: {have}; {WITHOUT}")
    owners = sorted({each.document for each in used})
    vectors = encode([each.text for each in used] + [by_id[owner].title for owner in owners])
    embedded = {each.id: vectors[place] for place, each in enumerate(used)}
    embedded |= {owner: vectors[len(used) + place] for place, owner in enumerate(owners)}
    parts = {
        split: _mine_split(split, [each for each in used if each.split == split], by_id, embedded, options)
        for split in SPLITS
    }
    pairs = [pair for split in SPLITS for pair in parts[split].pairs]
    rejects = [reject for split in SPLITS for reject in parts[split].rejects]
    if not pairs:
        raise DataError(_nothing_found(rejects, options, len(owners)))
    return Mined(pairs, rejects, report(parts, pairs, rejects, truth))


def _mine_split(
    split: str, used: list[Chunk], by_id: dict[str, Document], embedded: dict[str, Any], options: Options
) -> Part:
    ours = [each for each in used if each.domain == options.left]
    theirs = [each for each in used if each.domain == options.right]
    counts = {"left": len({each.document for each in ours}), "right": len({each.document for each in theirs})}
    if not ours or not theirs:
        return Part([], [], counts, {}, {})
    left, right = _sides(ours, theirs, by_id, embedded)
    left, ours, doubled = _without_near_duplicates(left, ours, options)
    right, theirs, doubled_too = _without_near_duplicates(right, theirs, options)
    pairs, refused, of_left, of_right = _choose(split, left, right, ours, theirs, options)
    return Part(pairs, doubled + doubled_too + refused, counts, of_left, of_right)


def _sides(
    ours: list[Chunk], theirs: list[Chunk], by_id: dict[str, Document], embedded: dict[str, Any]
) -> "tuple[matching.Passages, matching.Passages]":
    """Both sides' passages; how rare a term is, only the text of this split says."""
    from breviary.data import matching

    both = ours + theirs
    names = _names(ours) + _names(theirs)
    place = {name: number for number, name in enumerate(names)}
    owners = [place[each.document] for each in both]
    titled = [f"{by_id[each.document].title}\n{each.text}" for each in both]
    terms = matching.lexical(titled, [f"{by_id[name].title}\n{by_id[name].text}" for name in names])
    whole = matching.passages(owners, [embedded[each.id] for each in both], [embedded[name] for name in names], terms)
    middle = len(_names(ours))
    return matching.subset(whole, range(middle)), matching.subset(whole, range(middle, len(names)))


def _names(chunks: Iterable[Chunk]) -> list[str]:
    """Document ids in order of first appearance, which for sorted chunks is the order of ids."""
    return list(dict.fromkeys(each.document for each in chunks))


def _without_near_duplicates(
    side: "matching.Passages", chunks: list[Chunk], options: Options
) -> "tuple[matching.Passages, list[Chunk], list[Reject]]":
    from breviary.data import matching, shortlist

    names = _names(chunks)
    limits = options.near_duplicate, options.lexical_share
    if len(names) > options.shortlist.above:
        removed = shortlist.near_duplicates(side, *limits, options.shortlist.index)
    else:
        removed = matching.near_duplicates(side, *limits)
    rejects = [
        Reject(chunks[0].split, "near duplicate", names[gone], names[kept], round(cosine, 6), 0.0)
        for gone, (kept, cosine) in sorted(removed.items())
    ]
    dropped = {names[gone] for gone in removed}
    kept = [number for number in range(len(names)) if number not in removed]
    return matching.subset(side, kept), [each for each in chunks if each.document not in dropped], rejects


def _choose(
    split: str,
    left: "matching.Passages",
    right: "matching.Passages",
    ours: list[Chunk],
    theirs: list[Chunk],
    options: Options,
) -> tuple[list[Pair], list[Reject], dict[str, str], dict[str, str]]:
    """Pairs, refusals, and the best partner of each left and each right document."""
    from breviary.data import matching

    rows, columns = _names(ours), _names(theirs)
    found = _best(left, right, options)
    by_row, by_column = matching.margins(found)
    row_order = matching.rank(by_row, found.row_columns).tolist()
    column_order = matching.rank(by_column, found.column_rows).tolist()
    lines = zip(found.row_columns.tolist(), found.row_scores.tolist(), by_row.tolist(), strict=True)
    scored = sorted((row, *each) for row, line in enumerate(lines) for each in zip(*line, strict=True))
    pairs, rejects, most = [], [], options.per_document
    for row, column, *exact in scored:
        cosine, margin = (round(value, 6) for value in exact)
        mutual = column in row_order[row][:most] and row in column_order[column][:most]
        reason = _reason(cosine, margin, mutual, options)
        names = (rows[row], columns[column])
        if reason:
            rejects.append(Reject(split, reason, *names, cosine, margin))
        else:
            ends = matching.closest(left, right, row, column)
            pairs.append(Pair(*names, ours[ends[0]].id, theirs[ends[1]].id, split, cosine, margin))
    of_left = {rows[row]: columns[order[0]] for row, order in enumerate(row_order)}
    return pairs, rejects, of_left, {columns[column]: rows[order[0]] for column, order in enumerate(column_order)}


def _best(left: "matching.Passages", right: "matching.Passages", options: Options) -> "matching.Best":
    """The best partners of each document, by S of all with all or, of many documents, of a shortlist."""
    from breviary.data import matching, neighbours, shortlist

    share, k, few = options.lexical_share, options.neighbours, options.shortlist
    if max(left.documents, right.documents) > few.above:
        return shortlist.best(left, right, shortlist.candidates(left, right, few.candidates, few.index), share, k)
    block = matching.coverage(left, right, share)
    return neighbours.best(block, left.documents, right.documents, k, matching.block_size(left, right))


def _reason(cosine: float, margin: float, mutual: bool, options: Options) -> str:
    """Why a candidate is refused, or ""."""
    if not mutual:
        return "not mutual"
    if cosine < options.min_cosine:
        return "below min_cosine"
    return "below min_margin" if margin < options.min_margin else ""


def _nothing_found(rejects: Sequence[Reject], options: Options, documents: int) -> str:
    scored = [each for each in rejects if each.reason != "near duplicate"]
    nearest = max(scored, key=lambda each: (each.reason != "not mutual", each.margin), default=None)
    best = f"the nearest had cosine {nearest.cosine:.3f} and margin {nearest.margin:.3f}" if nearest else ""
    return (
        f"pairs: none found between {options.left} and {options.right} ({documents} documents); looked inside each "
        f"split for mutual best with cosine >= {options.min_cosine:g} and margin >= {options.min_margin:g}; "
        f"{best or 'no split has documents of both domains'}; lower the thresholds; {WITHOUT}"
    )
