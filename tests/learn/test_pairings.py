"""Every pair is drawn as often as the others, in an order that the number of the step decides."""

import math

from hypothesis import given
from hypothesis import strategies as st

from breviary.learn import pairings


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 99))
def test_no_pair_comes_again_before_all_were_drawn(count: int, pairs: int, seed: int) -> None:
    steps = math.ceil(count / pairs)
    for epoch in range(2):
        drawn = [pairings.draw(epoch * steps + turn, count, pairs, seed) for turn in range(steps)]
        assert sorted(number for step in drawn for number in step) == list(range(count))
        sizes = {len(step) for step in drawn}
        assert max(sizes) <= pairs and max(sizes) - min(sizes) <= 1


def test_every_epoch_is_another_shuffle() -> None:
    assert len({tuple(pairings.draw(epoch, 20, 20, 3)) for epoch in range(5)}) == 5
