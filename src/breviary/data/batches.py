"""From examples to tensors: prompts end and summaries begin in one column.

    pad  pad  p1  p2 | s1  s2  s3            prompts padded on the left, summaries on the right
    p1   p2   p3  p4 | s1  s2  pad

so that the columns whose next token is a label are the last ones of every row, and the output head can run on those
alone: with a 49,152-word vocabulary it would otherwise be the largest tensor of the step, nearly all of it unused.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from breviary.data import lexicon
from breviary.data.prompts import Prompter
from breviary.errors import DataError, listed
from breviary.records import Example

IGNORED = -100  # a label that the loss skips


@dataclass(frozen=True)
class Taught:
    """What a teacher expected at each target: its likeliest tokens, and the probability of all others together."""

    ids: Int[Tensor, "*targets k"]
    log_p: Float[Tensor, "*targets k+1"]  # nats, at the teacher's temperature; the last is that of all other tokens


@dataclass(frozen=True)
class Row:
    """One example in token ids."""

    example: str
    prompt: list[int]
    target: list[int]
    marked: tuple[bool, ...] = ()  # for each target, whether it is inside a word of the lexicon; () without one
    taught: Taught | None = field(default=None, compare=False)  # for each target, where a teacher was asked
    weight: float = 1.0  # how much each of its targets counts, 1 on average

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target) - 1


@dataclass(frozen=True)
class Batch:
    """Rows in one rectangle. The label of column `time - labels + i` is `targets[:, i]`."""

    input_ids: Int[Tensor, "batch time"]
    mask: Bool[Tensor, "batch time"]
    targets: Int[Tensor, "batch labels"]
    examples: tuple[str, ...]
    marked: Bool[Tensor, "batch labels"] | None = None  # as `Row.marked`, where every row has it
    taught: Taught | None = None  # as `Row.taught`, where every row has it; zeros where there is no label
    weights: Float[Tensor, " batch"] | None = None  # as `Row.weight`, where one is not 1

    @property
    def target_tokens(self) -> int:
        """How many labels count."""
        return int((self.targets != IGNORED).sum())

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        optional = [name for name in ("marked", "weights") if getattr(self, name) is not None]
        names = ("input_ids", "mask", "targets", *optional)
        moved = replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})
        if self.taught is None:
            return moved
        return replace(moved, taught=Taught(self.taught.ids.to(device), self.taught.log_p.to(device)))


def rows(examples: Sequence[Example], prompter: Prompter, words: Sequence[str] = ()) -> list[Row]:
    """Tokenise `examples`; where there are `words` of a lexicon, mark the targets inside one of them.

    Raises one DataError for all that do not fit, and where the words occur in no summary at all.
    """
    made, problems = [], []
    for example in examples:
        try:
            target = prompter.target(example.summary)
            marked = _marks(example.summary, prompter, words) if words else ()
            made.append(Row(example.id, prompter.prompt(example.text).ids, target, marked))
        except DataError as error:
            problems.append(f"example {example.id} (document {example.document}, {example.title!r}): {error}")
    if problems:
        remedy = (
            "for a long summary raise prompt.max_summary_tokens, or drop such documents with data.max_summary_words; "
            "leave a document without a token out of data.sources"
        )
        raise DataError(listed(problems, remedy))
    if not made:
        raise DataError("there is not one example to learn from; see metrics/mix.json")
    if words and not any(any(row.marked) for row in made):
        raise DataError(
            f"no summary of {len(made)} holds one of the lexicon's {len(words)} terms ({', '.join(words[:3])}, ...); "
            "they are matched as whole words, see src/breviary/data/lexicon.py"
        )
    return made


def _marks(summary: str, prompter: Prompter, words: Sequence[str]) -> tuple[bool, ...]:
    """One for each target of `summary`; the end of the text is no word."""
    text = prompter.target_text(summary)
    return (*lexicon.marks(text, prompter.tokenizer.offsets(text), lexicon.spans(text, words)), False)


def collate(rows: Sequence[Row], pad: int) -> Batch:
    """Put `rows` into one rectangle."""
    width = max(len(row.prompt) for row in rows)
    labels = max(len(row.target) for row in rows)
    input_ids = torch.full((len(rows), width + labels - 1), pad)
    mask = torch.zeros(input_ids.shape, dtype=torch.bool)
    targets = torch.full((len(rows), labels), IGNORED)
    for index, row in enumerate(rows):
        ids = torch.tensor(row.prompt + row.target[:-1])  # the last label is predicted, never read
        columns = slice(width - len(row.prompt), width - len(row.prompt) + len(ids))
        input_ids[index, columns] = ids
        mask[index, columns] = True
        targets[index, : len(row.target)] = torch.tensor(row.target)
    names = tuple(row.example for row in rows)
    return Batch(input_ids, mask, targets, names, _marked(rows, labels), _taught(rows, labels), _weights(rows))


def _marked(rows: Sequence[Row], labels: int) -> Tensor | None:
    if not all(row.marked for row in rows):
        return None
    return torch.tensor([[*row.marked, *(False for _ in range(labels - len(row.marked)))] for row in rows])


def _taught(rows: Sequence[Row], labels: int) -> Taught | None:
    known = [row.taught for row in rows if row.taught is not None]
    if len(known) < len(rows):
        return None
    ids, log_p = (
        torch.stack([functional.pad(each, (0, 0, 0, labels - len(each))) for each in part])
        for part in ([each.ids for each in known], [each.log_p for each in known])
    )
    return Taught(ids, log_p)


def _weights(rows: Sequence[Row]) -> Tensor | None:
    return torch.tensor([row.weight for row in rows]) if any(row.weight != 1 for row in rows) else None


def unchanged(row: Row, epoch: int) -> Row:
    """Every epoch shows the same row."""
    return row


def steps(
    rows: Sequence[Row], *, epochs: int, batch: int, seed: int, shown: Callable[[Row, int], Row] = unchanged
) -> list[list[Row]]:
    """The rows of every optimiser step, in order: each epoch is another seeded shuffle; its last step may be smaller.

    A list and not a stream, so that a resumed run can begin at any step. `shown` is what an epoch (from 0) makes of a
    row.
    """
    order: list[list[Row]] = []
    for epoch in range(epochs):
        drawn = random.Random(f"{seed}/{epoch}").sample(list(rows), len(rows))
        shuffled = [shown(row, epoch) for row in drawn]
        order += [shuffled[start : start + batch] for start in range(0, len(shuffled), batch)]
    return order


def micro_batches(rows: Sequence[Row], size: int, pad: int) -> Iterator[Batch]:
    """Split the rows of one step, rows of like length together, so that little is padding."""
    ordered = sorted(rows, key=lambda row: (len(row), row.example))
    for start in range(0, len(ordered), size):
        yield collate(ordered[start : start + size], pad)
