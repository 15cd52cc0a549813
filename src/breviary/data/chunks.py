"""Documents become windows that fit a model, and each document gets one split before anything is mined from it.

Windows are counted in the backbone's own tokens, end where a sentence ends, and share their last whole sentences with
the next window. No window has more than `max_tokens`; where the last would have fewer than `min_tokens` it reaches
back into the one before it. Splits are drawn by document group (a meeting with its segments, a text with the talks
about it), so that nothing leaks from train to test.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from pydantic import Field, model_validator

from breviary import config
from breviary.data.sentences import Offsets, Span, pieces, spans
from breviary.errors import ConfigError, DataError
from breviary.records import Chunk, Document, content_hash

TRAIN, VALID, TEST = "train", "valid", "test"
SPLITS = (TRAIN, VALID, TEST)


class Split(config.Options):
    """Shares of the documents of each domain that are kept from training; the rest is train."""

    valid: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int | None = Field(default=None, ge=0, lt=2**31)  # null: runtime.seed; a number keeps the split over seeds

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> "Split":
        if self.valid + self.test >= 1:
            raise ConfigError(
                f"valid + test is {self.valid + self.test:g}, which leaves nothing to train on; keep it below 1"
            )
        return self


class Options(config.Options):
    """Section `chunk`."""

    max_tokens: int = Field(ge=16)
    overlap_tokens: int = Field(ge=0)
    min_tokens: int = Field(ge=1)
    split: Split

    @model_validator(mode="after")
    def _windows_advance(self) -> "Options":
        if self.overlap_tokens >= self.max_tokens:
            raise ConfigError(f"overlap_tokens ({self.overlap_tokens}) must be below max_tokens ({self.max_tokens})")
        if 2 * self.min_tokens > self.max_tokens:
            raise ConfigError(f"min_tokens ({self.min_tokens}) must be at most half of max_tokens ({self.max_tokens})")
        return self


def chunk(
    documents: Iterable[Document], split_of: Mapping[str, str], offsets: Offsets, options: Options
) -> list[Chunk]:
    """Every window of every document, in document order. Raises DataError naming the documents that have no token."""
    chunks: list[Chunk] = []
    barren: list[Document] = []
    for document in documents:
        found = windows(
            document.text,
            offsets,
            max_tokens=options.max_tokens,
            overlap_tokens=options.overlap_tokens,
            min_tokens=options.min_tokens,
        )
        barren += [] if found else [document]
        chunks += [
            Chunk(
                document.id, document.domain, split_of[document.id], index, start, end, tokens, document.text[start:end]
            )
            for index, (start, end, tokens) in enumerate(found)
        ]
    if barren:
        named = "\n".join(f"{each.source or each.id}: '{each.title}' has no usable token" for each in barren[:10])
        rest = f"\n... and {len(barren) - 10} more" if len(barren) > 10 else ""
        raise DataError(f"{named}{rest}\nremove them from data.sources, or see why their text is empty")
    return chunks


def windows(
    text: str, offsets: Offsets, *, max_tokens: int, overlap_tokens: int, min_tokens: int
) -> list[tuple[int, int, int]]:
    """(start, end, tokens) of each window of `text`; no white space at either end; nothing but white space left out."""
    limit = max(1, max_tokens - min_tokens)  # so that a short last window always has room for one more piece
    size = min(limit, overlap_tokens or limit)  # a long sentence is cut finely enough for windows to overlap in it
    parts = [
        part
        for sentence in spans(text)
        for part in pieces(text, sentence, offsets, limit=limit, size=size)
        if text[slice(*part)].strip()
    ]
    begins = [start for start, _ in offsets(text)]
    if not begins:
        return []  # a tokenizer may read nothing in a text of control characters
    rough = [bisect_left(begins, end) - bisect_left(begins, start) for start, end in parts]
    found: list[tuple[int, int, int]] = []
    first, done = 0, 0  # parts[first:done] is to be repeated at the start of the next window
    while done < len(parts):
        while first < done and _window(text, parts, first, done + 1, offsets)[2] > max_tokens:
            first += 1  # the next piece is worth more than the repetition
        last = _fill(text, parts, rough, first, done, offsets, max_tokens)
        found.append(_window(text, parts, first, last, offsets))
        first, done = _step_back(rough, first, last, overlap_tokens), last
    return _lengthen_last(text, parts, found, offsets, max_tokens, min_tokens)


def _fill(
    text: str, parts: list[Span], rough: list[int], first: int, done: int, offsets: Offsets, max_tokens: int
) -> int:
    """The end (exclusive) of the longest run of parts from `first` that fits; always beyond `done`."""
    last, total = done, sum(rough[first:done])
    while last < len(parts) and (last == done or total + rough[last] <= max_tokens):
        total += rough[last]
        last += 1
    while last > done + 1 and _window(text, parts, first, last, offsets)[2] > max_tokens:
        last -= 1  # a sum over parts can differ by a token or two from the count of the whole
    return last


def _step_back(rough: list[int], first: int, last: int, overlap_tokens: int) -> int:
    """Where the next window starts so that it repeats at most `overlap_tokens` of whole parts."""
    start = last
    while start > first + 1 and sum(rough[start - 1 : last]) <= overlap_tokens:
        start -= 1
    return start


def _lengthen_last(
    text: str,
    parts: list[Span],
    found: list[tuple[int, int, int]],
    offsets: Offsets,
    max_tokens: int,
    min_tokens: int,
) -> list[tuple[int, int, int]]:
    """Let a last window below `min_tokens` reach back until it has as many, without passing `max_tokens`."""
    if len(found) < 2 or found[-1][2] >= min_tokens:
        return found
    starts = [start for start, _ in parts]
    for first in range(bisect_left(starts, found[-1][0]) - 1, -1, -1):
        longer = _window(text, parts, first, len(parts), offsets)
        if longer[2] > max_tokens:
            break
        found[-1] = longer
        if longer[2] >= min_tokens:
            break
    return found


def _window(text: str, parts: list[Span], first: int, last: int, offsets: Offsets) -> tuple[int, int, int]:
    start, end = parts[first][0], parts[last - 1][1]
    inside = text[start:end]
    start, end = start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())
    return start, end, len(offsets(text[start:end]))


def drawn(documents: Iterable[Document], split: Split, seed: int) -> dict[str, str]:
    """Split of each document id. `seed` counts where the options name none: training seeds that are to be compared on
    the same documents share a split, and runs that are to vary in everything do not."""
    chosen = seed if split.seed is None else split.seed
    return splits(documents, valid=split.valid, test=split.test, seed=chosen)


def splits(documents: Iterable[Document], *, valid: float, test: float, seed: int) -> dict[str, str]:
    """Split of each document id. Documents of one group go together; every domain keeps the shares, as near as its
    groups allow, and has at least one document in each split if it has three groups or more.

    A group's place in the draw is a hash of the seed and its name: it depends neither on the order of the documents
    nor on which others there are.
    """
    groups: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        groups[f"group {document.group}" if document.group else f"alone {document.id}"].append(document)
    sizes = {name: Counter(document.domain for document in members) for name, members in groups.items()}
    order = sorted(groups, key=lambda name: (content_hash(str(seed), name), name))
    chosen: dict[str, str] = {}
    for domain in sorted({domain for size in sizes.values() for domain in size}):
        _assign(domain, [name for name in order if sizes[name][domain]], sizes, {VALID: valid, TEST: test}, chosen)
    return {document.id: chosen[name] for name in sorted(groups) for document in groups[name]}


def _assign(
    domain: str,
    names: list[str],
    sizes: Mapping[str, Counter[str]],
    held_out: Mapping[str, float],
    chosen: dict[str, str],
) -> None:
    """Give each group of `domain` that has none yet the split that is furthest below its share; large groups first."""
    total = sum(sizes[name][domain] for name in names)
    needs = {VALID: 3, TEST: 2}  # groups: fewer, and the split goes without this domain
    wanted = {
        split: max(1, round(share * total)) if len(names) >= needs[split] else 0 for split, share in held_out.items()
    }
    wanted[TRAIN] = total - sum(wanted.values())
    have: Counter[str] = Counter()
    open_names = []
    for name in names:
        if name in chosen:
            have[chosen[name]] += sizes[name][domain]
        else:
            open_names.append(name)
    open_names.sort(key=lambda name: -sizes[name][domain])  # stable: equal sizes keep the hashed order
    for left, name in zip(range(len(open_names), 0, -1), open_names, strict=True):
        empty = [split for split in SPLITS if wanted[split] > 0 and not have[split]]
        candidates = empty if len(empty) >= left else list(SPLITS)
        chosen[name] = max(candidates, key=lambda split: (wanted[split] - have[split], -SPLITS.index(split)))
        have[chosen[name]] += sizes[name][domain]
