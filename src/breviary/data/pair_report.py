"""What pair mining found, in numbers: scores, refusals by reason, and, where the truth is known, how much of it.

Truth is for measuring only; nothing that mines reads it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.errors import DataError
from breviary.records import Document, Pair

Truth = set[tuple[str, str]]  # (left document id, right document id)


@dataclass(frozen=True)
class Reject:
    """A candidate that did not become a pair, and why. Of near duplicates, `left` went and `right` stayed."""

    split: str
    reason: str
    left: str
    right: str
    cosine: float
    margin: float


@dataclass(frozen=True)
class Part:
    """What one split gave, with the best partner of each left and of each right document."""

    pairs: list[Pair]
    rejects: list[Reject]
    counts: dict[str, int]
    of_left: dict[str, str]
    of_right: dict[str, str]


def report(
    parts: dict[str, Part], pairs: Sequence[Pair], rejects: Sequence[Reject], truth: Truth | None
) -> dict[str, Any]:
    """Counts by split and reason, histograms of all scored candidates, and how much of `truth` was found."""
    scored = [(pair.cosine, pair.margin) for pair in pairs]
    scored += [(each.cosine, each.margin) for each in rejects if each.reason != "near duplicate"]
    found: dict[str, Any] = {
        "pairs": len(pairs),
        "splits": {split: {**part.counts, "pairs": len(part.pairs)} for split, part in parts.items()},
        "rejected": dict(sorted(Counter(each.reason for each in rejects).items())),
        "cosine_histogram": _histogram([cosine for cosine, _ in scored]),
        "margin_histogram": _histogram([margin for _, margin in scored]),
    }
    return found if truth is None else {**found, "truth": _measured(parts, truth)}


def _histogram(values: Iterable[float], width: float = 0.05) -> dict[str, int]:
    """Lower edge of each bin that is not empty: how many values."""
    bins = Counter(int(value // width) for value in values)
    return {f"{number * width:+.2f}": bins[number] for number in sorted(bins)}


def _measured(parts: dict[str, Part], truth: Truth) -> dict[str, Any]:
    """Precision and recall of the pairs, recall@1 of each side, among the true pairs that lie inside one split."""
    found = {(pair.left, pair.right) for part in parts.values() for pair in part.pairs}
    of_left = {left: right for part in parts.values() for left, right in part.of_left.items()}
    of_right = {right: left for part in parts.values() for right, left in part.of_right.items()}
    split_of = {id_: split for split, part in parts.items() for id_ in (*part.of_left, *part.of_right)}
    inside = {(left, right) for left, right in truth if left in split_of and split_of[left] == split_of.get(right)}
    hits = len(found & inside)
    lefts, rights = {left for left, _ in inside}, {right for _, right in inside}
    return {
        "pairs": len(truth),
        "pairs_inside_a_split": len(inside),
        "precision": _share(hits, len(found)),
        "recall": _share(hits, len(inside)),
        "recall_at_1_left": _share(sum((left, of_left[left]) in truth for left in lefts), len(lefts)),
        "recall_at_1_right": _share(sum((of_right[right], right) in truth for right in rights), len(rights)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def read_truth(where: str, documents: Iterable[Document], left: str, right: str) -> Truth:
    """The pairs known to be true: of a JSON file {"pairs": [[left, right], ...]} that names sources without their
    suffix, or, where `where` is "group", every left and right document of one group.

    For measuring only. Raises DataError if it names none of the documents.
    """
    ours = [each for each in documents if each.domain in (left, right)]
    if where == "group":
        listed = {(each.group, each.group) for each in ours if each.group}
        key = {each.id: each.group for each in ours}
    else:
        listed = {(first, second) for first, second in artifacts.read_json(Path(where))["pairs"]}
        key = {each.id: Path(each.source).stem for each in ours}
    places: dict[tuple[str, str], list[str]] = {}
    for each in ours:
        places.setdefault((each.domain, key[each.id]), []).append(each.id)
    truth = {
        (a, b)
        for first, second in listed
        for a in places.get((left, first), [])
        for b in places.get((right, second), [])
    }
    if not truth:
        raise DataError(
            f"pairs.truth: none of the {len(listed)} pairs of '{where}' names a {left} and a {right} document; "
            "set it to null where the truth is not known"
        )
    return truth
