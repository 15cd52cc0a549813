"""Which pairs a contrastive step sets against each other, and which it is refused with."""

import math
from typing import Any

import pytest
import torch

from breviary.errors import DataError
from breviary.learn import crossclr, pairings
from breviary.learn.embedding import embed
from breviary.learn.terms import contrastive
from tests.learn.terms.contrasted import SIX, Make, gradients, twins, woken

REMEDY = r"lower pairs\.min_margin, or drop train_phaseN\.terms\.contrastive"


def test_pairs_that_share_a_document_are_not_contrasted(tiny: Any, make_contrastive: Make) -> None:
    """Pairs 0 and 1 share both documents with a third, so that nothing but the fourth is a negative of any."""
    pairs = twins((0, 0), (0, 1), (1, 1), (2, 2))
    expected = [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    assert pairings.relations(pairs).int().tolist() == expected
    assert pairings.relations(SIX).int().tolist() == torch.eye(6).int().tolist()
    model = woken(tiny).eval()
    all_of_one = [pairs[0], pairs[1], pairs[3]]
    term = make_contrastive(all_of_one, pairs=3, intra_weight=0.0, prune_above=1.0, weighting="off", queue=3)
    value = float(term.backward(0, model))
    with torch.no_grad():
        sides = []
        for side in contrastive.SIDES:
            states = torch.cat([embed(model, [getattr(twin, side)], 258) for twin in all_of_one])
            centre, head = term.buffers[f"contrastive.{side}.centre"], term.trained[f"contrastive.{side}"]
            sides.append(crossclr.project(states, centre, head) / math.sqrt(0.03))
    logits = sides[0] @ sides[1].T
    logits[0, 1] = logits[1, 0] = -math.inf
    truth = torch.arange(3)
    direct = [torch.nn.functional.cross_entropy(each, truth) for each in (logits, logits.T)]
    assert value == pytest.approx(float(sum(direct)) / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], rf"the pairs stage found no train pairs while contrastive is on; {REMEDY}"),
        ([(0, 0)], rf"found 1 train pair, contrastive needs at least 2; {REMEDY}"),
        (
            [(0, 0), (0, 1), (0, 2)],
            rf"all 3 train pairs share their documents: contrastive finds no negative; {REMEDY}",
        ),
    ],
)
def test_pairs_without_a_contrast_are_refused(
    pairs: list[tuple[int, int]], message: str, make_contrastive: Make
) -> None:
    with pytest.raises(DataError, match=message):
        make_contrastive(twins(*pairs))


def test_two_pairs_train(tiny: Any, make_contrastive: Make) -> None:
    """Centred, two documents point in opposite directions: nothing is connected, nothing is pruned."""
    model, term = tiny.adapted(), make_contrastive(SIX[:2], pairs=2)
    assert 0 < float(term.backward(0, model)) < math.inf
    assert term.buffers["contrastive.left.connectivity"].tolist() == [0.0, 0.0]
    assert all(gradient.isfinite().all() for gradient in gradients(model, term).values())
