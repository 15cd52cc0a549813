"""Words that go together in training texts are near each other, and common ones say nothing."""

import numpy as np
import pytest

from breviary.errors import DataError
from breviary.evaluate import latent

TEXTS = [
    *("the ship on the sea", "the crew on the sea", "the ship and the mast", "the crew and the mast"),
    *("the loaf in the oven", "the flour in the oven", "the loaf and the crust", "the flour and the crust"),
]


def cosine(first: str, second: str) -> float:
    one, two = latent.fit(TEXTS, 3)([first, second])
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


def test_texts_of_one_subject_are_alike_without_a_word_in_common():
    assert cosine("ship", "crew") > 0.9
    assert abs(cosine("ship", "loaf")) < 0.1


def test_a_text_of_unknown_or_common_words_alone_is_zero():
    assert not latent.fit(TEXTS, 3)(["the zebra", ""]).any()
    assert latent.fit(TEXTS, 3)(["the ship"]).any()


def test_the_width_is_no_more_than_the_texts_allow():
    assert latent.fit(TEXTS, 100)(["ship"]).shape == (1, 7)


def test_two_fits_are_equal_bit_for_bit():
    assert np.array_equal(latent.fit(TEXTS)(TEXTS), latent.fit(TEXTS)(TEXTS))


@pytest.mark.parametrize("texts", [["ship", "crew"], ["", "", ""], ["same words"] * 30], ids=["two", "empty", "alike"])
def test_texts_that_cannot_be_told_apart_are_refused(texts):
    with pytest.raises(DataError, match="too few or too alike for latent semantic analysis"):
        latent.fit(texts)
