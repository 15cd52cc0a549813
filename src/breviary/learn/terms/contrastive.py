"""Mined pairs are drawn together in the model itself: CrossCLR (`learn/crossclr.py`) on pooled states.

Both documents of a pair are read by the model that is trained, and the gradient goes through their pooled last hidden
states (`learn/embedding.py`) into the adapter. Two linear heads, one for each modality, project the states. They are
trained beside the adapter and saved with it; summarising does not need them. Both begin as the same random projection,
which keeps cosines: the two modalities come out of one model.

The states of a causal language model all point one way, so that each modality is seen from its mean: otherwise every
document is "influential", no negative is left and the loss is 0 for ever, and projections are filled with what all
texts share. Connectivity and mean are first those of the model at the start of the phase, over all its pairs.
Connectivity stays so; the mean follows the steps, since training moves all states together (measured: with the mean of
the start, 6 steps took the cosine of shuffled pairs from 0 to 0.9). Both, and the queue, are kept with a checkpoint.

A step takes other pairs than the last, all of them before one comes again; the queue remembers the projections of
earlier steps, for more negatives. Every process computes the loss of the whole step from the states of all.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from breviary import config
from breviary.data.views import Twin, View
from breviary.errors import ConfigError, TrainingError, listed
from breviary.learn import crossclr, pairings
from breviary.learn.crossclr import Queue, Side
from breviary.learn.embedding import Reader
from breviary.learn.objective import Given, Whole

SIDES = ("left", "right")
REPORTED = 64  # pairs that are compared before and after a phase
FOLLOWING = 0.1  # how far a step takes the centre to its own mean


class Options(config.Options):
    """CrossCLR's own settings, with the paper's values, and how much is read in a step."""

    weight: float = Field(gt=0)
    temperature: float = Field(default=0.03, gt=0)  # tau
    intra_weight: float = Field(default=0.8, ge=0)  # lambda; 0 leaves out negatives of the same modality
    prune_above: float = Field(default=0.9, gt=0, le=1)  # gamma, of the greatest connectivity; 1 prunes nothing
    weighting: Literal["off", "softmax"] = "softmax"
    weight_temperature: float = Field(default=0.0035, gt=0)  # kappa, as for 64 pairs in a step
    queue: int = Field(default=0, ge=0)  # pairs that are remembered as negatives, at most all there are; 0 is none
    dimensions: int = Field(default=128, ge=1)  # of a projection
    pairs: int = Field(ge=2)  # in one optimiser step, at most: all steps take as many, or one fewer
    micro_batch: int = Field(ge=1)  # texts in one forward pass; changes memory, not the result
    max_tokens: int = Field(ge=1)  # of each document


@dataclass(frozen=True)
class Start:
    """What is known of the pairs from the model that the phase starts from. Written in place."""

    centre: Mapping[str, Float[Tensor, " width"]]  # by side; it moves on with the steps
    connected: Mapping[str, Float[Tensor, " pairs"]]
    known: Int[Tensor, " one"]  # 1 once it is


@dataclass(frozen=True)
class Contrast:
    """The term of one phase."""

    options: Options
    twins: Sequence[Twin]
    related: Bool[Tensor, "pairs pairs"]
    reader: Reader
    seed: int
    heads: Mapping[str, nn.Parameter]
    start: Start
    queue: Queue

    def backward(self, number: int, model: Any) -> Float[Tensor, ""]:
        """The loss of step `number`; its gradient is added to the adapter's and the heads', if all of it is finite."""
        self._know(model)
        drawn = pairings.draw(number, len(self.twins), self.options.pairs, self.seed)
        read, spread = self.reader.cached(model, _views(self.twins, drawn), f"{self.seed} contrastive {number}")
        states = read.requires_grad_()
        pairs = torch.tensor(drawn, device=states.device)
        with torch.autocast(states.device.type, enabled=False):
            projected = self._projected(states, self.start.centre)
            value = self._loss(projected, pairs)
            heads = [self.heads[side] for side in SIDES]
            back, *own = torch.autograd.grad(self.options.weight * value, [states, *heads])
        if not all(bool(each.isfinite().all()) for each in (value, back, *own)):
            return torch.full_like(value, math.nan)
        spread(back)
        for head, gradient in zip(heads, own, strict=True):
            head.grad = gradient if head.grad is None else head.grad + gradient
        self.queue.put(projected["left"].detach(), projected["right"].detach(), pairs)
        for side, mean in _means(states.detach()).items():
            self.start.centre[side].lerp_(mean.to(self.start.centre[side]), FOLLOWING)
        return value.detach()

    def report(self, model: Any) -> dict[str, float]:
        """Cosines of true and shuffled pairs: of projections, and of pooled states; both as seen from the present mean.

        Every process is to call it.
        """
        chosen = pairings.draw(0, len(self.twins), min(REPORTED, len(self.twins)), self.seed)
        self._know(model)
        with torch.no_grad():
            states = self.reader.states(model, _views(self.twins, chosen))
            means, related = _means(states), self.related[chosen][:, chosen]
            left, right = states.chunk(2)
            pooled = crossclr.gap(left - means["left"], right - means["right"], related)
            projected = self._projected(states, means)
        projections = crossclr.gap(projected["left"], projected["right"], related)
        return {**projections, **{f"pooled_{name}": value for name, value in pooled.items()}}

    def _projected(
        self, states: Float[Tensor, "texts width"], centre: Mapping[str, Float[Tensor, " width"]]
    ) -> dict[str, Float[Tensor, "pairs dimensions"]]:
        """By side; the first half of the texts is the left one."""
        return {
            side: crossclr.project(half, centre[side], self.heads[side])
            for side, half in zip(SIDES, states.chunk(2), strict=True)
        }

    def _loss(
        self, projected: Mapping[str, Float[Tensor, "pairs dimensions"]], pairs: Int[Tensor, " pairs"]
    ) -> Float[Tensor, ""]:
        """CrossCLR of this step's pairs, with those in the queue as further negatives."""
        filled, chosen = self.queue.filled, self.options
        candidates = torch.cat([pairs, self.queue.pairs[:filled]])
        sides = {}
        for side, remembered in (("left", self.queue.left), ("right", self.queue.right)):
            connected, mine = self.start.connected[side], projected[side]
            sides[side] = Side(
                torch.cat([mine, remembered[:filled].to(mine.dtype)]),
                crossclr.influential(connected, chosen.prune_above)[candidates],
                crossclr.proximity(connected[pairs], chosen.weight_temperature)
                if chosen.weighting == "softmax"
                else torch.full_like(mine[:, 0].detach(), 1 / len(pairs)),
            )
        related = self.related[pairs][:, candidates]
        return crossclr.crossclr(sides["left"], sides["right"], related, chosen.temperature, chosen.intra_weight)

    @torch.no_grad()
    def _know(self, model: Any) -> None:
        """Read all documents of the phase, unless that was done. Raises TrainingError if a state is not finite."""
        if int(self.start.known):
            return
        for side in SIDES:
            of_pair = [getattr(twin, side) for twin in self.twins]
            views = {view.document: view for view in of_pair}  # once, in however many pairs it is
            states = self.reader.states(model, list(views.values()))
            broken = [document for document, state in zip(views, states, strict=True) if not state.isfinite().all()]
            if broken:
                problems = [f"document {document}: its hidden states are not finite" for document in broken]
                raise TrainingError(listed(problems, "contrastive compares hidden states; try compute.precision: fp32"))
            self.start.centre[side].copy_(states.mean(0))
            connected = crossclr.connectivity(states - states.mean(0))
            position = {document: index for index, document in enumerate(views)}
            self.start.connected[side].copy_(connected[[position[view.document] for view in of_pair]])
        self.start.known.fill_(1)


def build(options: Options, given: Given) -> Whole:
    """The term. Raises DataError where the pairs offer no contrast, ConfigError for heads of another size."""
    twins, device = given.twins(options.max_tokens), given.accelerator.device
    related = pairings.relations(twins).to(device)
    if related.all():
        pairings.refuse(twins)
    start = Start(
        {side: torch.zeros(given.width, device=device) for side in SIDES},
        {side: torch.zeros(len(twins), device=device) for side in SIDES},
        torch.zeros(1, dtype=torch.int64, device=device),
    )
    queue = crossclr.queue(min(options.queue, len(twins)), options.dimensions, device)
    reader = Reader(given.accelerator, given.pad, options.micro_batch)
    heads = _heads(options.dimensions, given)
    term = Contrast(options, twins, related, reader, given.seed, heads, start, queue)
    return Whole(
        options.weight,
        term.backward,
        trained={f"contrastive.{side}": head for side, head in heads.items()},
        buffers={f"contrastive.{name}": buffer for name, buffer in _buffers(start, queue).items()},
        report=term.report,
    )


def _heads(dimensions: int, given: Given) -> dict[str, nn.Parameter]:
    """Those of the phase before, or new ones."""
    generator = torch.Generator().manual_seed(given.seed)
    fresh = torch.randn(dimensions, given.width, generator=generator) / math.sqrt(given.width)
    made = {side: given.companions.get(f"contrastive.{side}", fresh) for side in SIDES}
    wrong = [f"contrastive.{side}: {tuple(head.shape)}" for side, head in made.items() if head.shape != fresh.shape]
    if wrong:
        raise ConfigError(
            f"contrastive.dimensions={dimensions} asks for heads of {tuple(fresh.shape)}, the phase before left "
            f"{', '.join(wrong)}; give both phases the same dimensions"
        )
    return {side: nn.Parameter(head.clone().to(given.accelerator.device)) for side, head in made.items()}


def _buffers(start: Start, queue: Queue) -> dict[str, Tensor]:
    """All that a resumed phase could not compute again, by name."""
    found = {"known": start.known, "queue.pairs": queue.pairs, "queue.count": queue.count}
    for side, remembered in zip(SIDES, (queue.left, queue.right), strict=True):
        found |= {f"{side}.centre": start.centre[side], f"{side}.connectivity": start.connected[side]}
        found[f"queue.{side}"] = remembered
    return found


def _views(twins: Sequence[Twin], drawn: Sequence[int]) -> list[View]:
    """The left documents, then the right ones."""
    return [twins[index].left for index in drawn] + [twins[index].right for index in drawn]


def _means(states: Float[Tensor, "texts width"]) -> dict[str, Float[Tensor, " width"]]:
    """By side; the first half of the texts is the left one."""
    return {side: half.mean(0) for side, half in zip(SIDES, states.chunk(2), strict=True)}
