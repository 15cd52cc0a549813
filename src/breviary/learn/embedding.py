"""One vector for each text: the mean of the last hidden states over the document's own tokens.

The instruction before the document is not averaged: it is the same for all, and would make all texts alike. The
gradient reaches the adapter.

A loss over many texts need not hold the graphs of all of them (gradient caching, Gao et al. 2021, arXiv:2101.06983):
every text is first read without a graph, the loss is differentiated with respect to the states alone, and then each
piece is read again with its graph, to carry its part of that gradient into the weights. The second reading draws the
dropout masks of the first. The gradient is that of one large batch, for one more forward pass.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor

from breviary.data.views import View

States = Float[Tensor, "texts width"]


def embed(model: Any, views: Sequence[View], pad: int) -> States:
    """The mean last hidden state of each document, in fp32 at least."""
    device = next(model.parameters()).device
    width = max(len(view.ids) for view in views)
    input_ids = torch.full((len(views), width), pad)
    mask = torch.zeros(input_ids.shape, dtype=torch.bool)
    pooled = torch.zeros_like(mask)
    for index, view in enumerate(views):
        start = width - len(view.ids)  # padded on the left, as prompts are
        input_ids[index, start:] = torch.tensor(view.ids)
        mask[index, start:] = True
        pooled[index, start + view.first :] = True
    output = model(
        input_ids=input_ids.to(device),
        attention_mask=mask.to(device),
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0).to(device),
        logits_to_keep=1,
        output_hidden_states=True,
        use_cache=False,
    )
    states = output.hidden_states[-1]
    states = states.to(torch.promote_types(states.dtype, torch.float32))
    counted = pooled.to(device)[..., None]
    return states.where(counted, 0).sum(1) / counted.sum(1)  # `where`, since what stands under padding may be NaN


@dataclass(frozen=True)
class Piece:
    """Texts of one forward pass."""

    number: int  # among the pieces of all processes
    rows: list[int]  # which texts
    counts: bool  # whether it is more than company for the other processes


@dataclass(frozen=True)
class Reader:
    """How many texts are read: in pieces, each process its share."""

    accelerator: Accelerator
    pad: int
    size: int  # texts in one forward pass

    def states(self, model: Any, views: Sequence[View]) -> States:
        """The states of all texts without a gradient, dropout off. Every process is to call it."""
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad():
                mine = self._mine(views)
                return self._gathered(mine, [self._read(model, views, piece) for piece in mine], len(views))
        finally:
            model.train(was_training)

    def cached(self, model: Any, views: Sequence[View], seed: str) -> tuple[States, Callable[[States], None]]:
        """The states of all texts, and what takes the loss's gradient with respect to them into the weights.

        Every process is to call both; each adds the gradient of its own texts times the number of processes, since
        DDP averages. `seed` decides the dropout.
        """
        mine = self._mine(views)
        once = len(mine) == 1  # its graph is no larger than that of any piece, so there is no need to read it twice

        def read(piece: Piece) -> States:
            with _drawing(f"{seed} {piece.number}", self.accelerator.device):
                return self._read(model, views, piece)

        with torch.set_grad_enabled(once):
            first = [read(piece) for piece in mine]

        def backward(gradient: States) -> None:
            for piece, states in zip(mine, first, strict=True):
                again = states if once else read(piece)
                scale = self.accelerator.num_processes if piece.counts else 0
                self.accelerator.backward((again * gradient[piece.rows] * scale).sum())

        return self._gathered(mine, [states.detach() for states in first], len(views)), backward

    def _read(self, model: Any, views: Sequence[View], piece: Piece) -> States:
        return embed(model, [views[row] for row in piece.rows], self.pad)

    def _mine(self, views: Sequence[View]) -> list[Piece]:
        return share(views, self.size, self.accelerator.process_index, self.accelerator.num_processes)

    def _gathered(self, mine: Sequence[Piece], read: Sequence[Float[Tensor, "_ width"]], texts: int) -> States:
        """The states of all processes in the order of the texts: every other process adds zeros, which is exact."""
        whole = read[0].new_zeros((texts, read[0].shape[1]))
        for piece, states in zip(mine, read, strict=True):
            if piece.counts:
                whole[piece.rows] = states
        reduced: Any = self.accelerator.reduce(whole, "sum")
        return reduced


def share(views: Sequence[View], size: int, process: int, processes: int) -> list[Piece]:
    """The pieces of one process, texts of like length together.

    All have equally many (they may wait for each other): one that has run out reads the last piece again, in vain.
    """
    rows = sorted(range(len(views)), key=lambda row: (len(views[row].ids), row))
    pieces = [rows[start : start + size] for start in range(0, len(rows), size)]
    numbers = [turn * processes + process for turn in range(math.ceil(len(pieces) / processes))]
    last = len(pieces) - 1
    return [Piece(min(number, last), pieces[min(number, last)], number <= last) for number in numbers]


@contextmanager
def _drawing(seed: str, device: torch.device) -> Iterator[None]:
    """torch's generators set from `seed`, and put back afterwards: other terms draw what they would without this."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(random.Random(seed).getrandbits(63))
        yield
