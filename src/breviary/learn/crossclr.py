"""CrossCLR: the two texts of a pair are drawn together, those of other pairs are pushed apart.

Zolfaghari et al. 2021, arXiv:2109.14910. With x, y the unit projections of two modalities, d(a, b) = exp(a.b / tau):

    l(x_i) = -log d(x_i, y_i) / (d(x_i, y_i) + sum_{k in N} d(x_i, y_k) + lambda sum_{k in N} d(x_i, x_k))
    L_x    = sum_i w(x_i) l(x_i) / sum_i w(x_i)          w(x_i) = exp(C~(x_i) / kappa)          L = (L_x + L_y) / 2

C(x_i), the connectivity, says how much of a modality is like x_i, and C~ is C over its sum. A document of more than
gamma times the greatest connectivity is influential: as in the authors' code, pair k is then left out of both sums of
L_x. So are pairs that share a document with pair i. The positive always stays. No gradient passes through weights.

Where this differs from the authors' code:
- lambda multiplies the exponential, as in the paper; theirs multiplies the exponent, and a negative that they prune
  still counts as exp(0).
- C counts positive cosines alone. The features here are centred states of a causal language model (without centring
  all cosines are about 0.9: everything would be influential, nothing a negative, and the loss 0 for ever), and the mean
  over all cosines of centred features is about -1 / (n - 1), so that nothing would ever be influential.
- kappa is meant for the paper's 64 pairs, and is scaled to as many as there are: C~ sums to 1, so that with 8 pairs the
  same kappa would give all the weight to one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

EPSILON = 1e-6  # the least length to divide by: with F.normalize's own 1e-12 the gradient of a zero is 1e12
PAPER_PAIRS = 64


@dataclass(frozen=True)
class Side:
    """One modality of a step. The step's own pairs are the first candidates, those of earlier steps follow."""

    candidates: Float[Tensor, "candidates dimensions"]  # unit length
    influential: Bool[Tensor, " candidates"]
    weights: Float[Tensor, " pairs"]  # of the step's own pairs, sum 1


@dataclass(frozen=True)
class Queue:
    """The last pairs of earlier steps, first in, first out. It starts empty, and is written in place."""

    left: Float[Tensor, "capacity dimensions"]
    right: Float[Tensor, "capacity dimensions"]
    pairs: Int[Tensor, " capacity"]  # their numbers among the pairs of the phase
    count: Int[Tensor, " one"]  # how many were ever put in

    @property
    def filled(self) -> int:
        """How many there are."""
        return min(int(self.count), len(self.pairs))

    @torch.no_grad()
    def put(
        self,
        left: Float[Tensor, "pairs dimensions"],
        right: Float[Tensor, "pairs dimensions"],
        pairs: Int[Tensor, " pairs"],
    ) -> None:
        """Remember these; as many of the oldest are forgotten as there is no room for."""
        last = min(len(pairs), len(self.pairs))
        if last == 0:
            return
        first = int(self.count) + len(pairs) - last
        places = torch.arange(first, first + last, device=self.pairs.device) % len(self.pairs)
        for held, new in ((self.left, left), (self.right, right), (self.pairs, pairs)):
            held[places] = new[-last:].to(held)
        self.count.add_(len(pairs))


def queue(capacity: int, dimensions: int, device: torch.device) -> Queue:
    """An empty queue."""
    sides = [torch.zeros(capacity, dimensions, device=device) for _ in range(2)]
    numbers = [torch.zeros(size, dtype=torch.int64, device=device) for size in (capacity, 1)]
    return Queue(*sides, *numbers)


def crossclr(
    left: Side,
    right: Side,
    related: Bool[Tensor, "pairs candidates"],
    temperature: float,
    intra_weight: float,
) -> Float[Tensor, ""]:
    """The loss, in fp32 at least. A pair is no negative of those it is `related` to, itself among them."""
    there = _direction(left, right, related, temperature, intra_weight)
    back = _direction(right, left, related, temperature, intra_weight)
    return (there + back) / 2


def _direction(
    anchors: Side, others: Side, related: Bool[Tensor, "pairs candidates"], temperature: float, intra_weight: float
) -> Float[Tensor, ""]:
    """L_x of one modality, whose `anchors` look for their partners among `others`."""
    pairs = len(related)
    own, other = _wide(anchors.candidates), _wide(others.candidates)
    excluded = related | anchors.influential
    inter = own[:pairs] @ other.T / temperature
    positive = inter.diagonal()
    logits = [positive[:, None], inter.masked_fill(excluded, -torch.inf)]
    if intra_weight > 0:
        intra = own[:pairs] @ own.T / temperature + log(intra_weight)
        logits.append(intra.masked_fill(excluded, -torch.inf))
    losses = torch.cat(logits, dim=1).logsumexp(1) - positive
    return (_wide(anchors.weights).detach() * losses).sum()


def connectivity(features: Float[Tensor, "documents width"]) -> Float[Tensor, " documents"]:
    """C: each document's mean cosine with all others, where one that is negative counts as 0."""
    unit = F.normalize(_wide(features), dim=1, eps=EPSILON)
    cosines = (unit @ unit.T).clamp(min=0)
    return cosines.fill_diagonal_(0).sum(1) / max(len(features) - 1, 1)


def influential(connected: Float[Tensor, " documents"], above: float) -> Bool[Tensor, " documents"]:
    """Which are connected more than `above` times the greatest; none where nothing is connected at all."""
    greatest = connected.max()
    return (connected > above * greatest) & (greatest > 0)


def proximity(connected: Float[Tensor, " pairs"], kappa: float) -> Float[Tensor, " pairs"]:
    """The weights of one modality, sum 1: softmax(C~ / kappa), as 64 pairs of this mean connectivity would have it."""
    relative = _wide(connected) / _wide(connected).mean().clamp(min=EPSILON)
    return (relative / (PAPER_PAIRS * kappa)).softmax(0).detach()


def project(
    states: Float[Tensor, "texts width"], centre: Float[Tensor, " width"], head: Float[Tensor, "dimensions width"]
) -> Float[Tensor, "texts dimensions"]:
    """Unit projections of `states` as seen from `centre`."""
    wide = _wide(states)
    return F.normalize((wide - centre.to(wide)) @ head.to(wide).T, dim=1, eps=EPSILON)


def gap(
    left: Float[Tensor, "pairs dimensions"],
    right: Float[Tensor, "pairs dimensions"],
    related: Bool[Tensor, "pairs pairs"],
) -> Mapping[str, float]:
    """The mean cosine of true pairs, of shuffled ones (those that are not related), and the difference."""
    cosines = F.normalize(left, dim=1, eps=EPSILON) @ F.normalize(right, dim=1, eps=EPSILON).T
    true, shuffled = float(cosines.diagonal().mean()), float(cosines[~related].mean())
    return {"cosine_true": true, "cosine_shuffled": shuffled, "cosine_gap": true - shuffled}


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
