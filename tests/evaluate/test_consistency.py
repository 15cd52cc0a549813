"""Consistency computed by hand, with an encoder whose vectors are written in the summary itself."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest

from breviary.evaluate import consistency
from breviary.records import Pair

CHANCE = {"seed": 0, "resamples": 2000, "level": 0.95}


def encode(texts: Sequence[str]) -> np.ndarray:
    """The vector whose coordinates are the numbers of the text."""
    return np.array([[float(number) for number in text.split()] for text in texts])


def pair(left: str, right: str) -> Pair:
    return Pair(left, right, f"{left}0", f"{right}0", "test", 0.5, 1.5)


def measure(texts: dict[str, str], *pairs: tuple[str, str]) -> consistency.Consistency:
    found = consistency.consistency({"m": texts}, [pair(*each) for each in pairs], {"e": encode}, **CHANCE)
    return found["e"]["m"]


def test_matched_and_control_are_the_means_on_and_off_the_diagonal():
    texts = {"a": "1 0", "b": "0 2", "x": "3 0", "y": "1 1"}
    found = measure(texts, ("a", "x"), ("b", "y"))
    on, off = (1 + math.sqrt(0.5)) / 2, (math.sqrt(0.5) + 0) / 2  # cos(a, y) and cos(b, x)
    assert found.pairs == 2
    assert found.matched and found.control and found.difference
    assert found.matched.value == pytest.approx(on)
    assert found.control.value == pytest.approx(off)
    assert found.difference.value == pytest.approx(on - off)


def test_a_model_that_always_says_the_same_is_consistent_and_not_better_than_the_control():
    found = measure(dict.fromkeys("abxy", "1 2"), ("a", "x"), ("b", "y"))
    assert found.matched and found.matched.value == pytest.approx(1)
    assert found.difference and found.difference.value == pytest.approx(0)
    assert found.difference.low == pytest.approx(0) and found.difference.high == pytest.approx(0)


def test_a_pairing_that_was_mined_too_is_no_control():
    texts = {"a": "1 0", "x": "1 0", "y": "1 0", "b": "0 1", "z": "0 1"}
    found = measure(texts, ("a", "x"), ("a", "y"), ("b", "z"))
    assert found.control and found.control.value == pytest.approx(0)  # a with y is a pair, though of another row


def test_an_empty_summary_is_like_nothing():
    found = measure({"a": "", "x": "", "b": "1 0", "y": "1 0"}, ("a", "x"), ("b", "y"))
    assert found.matched and found.matched.value == pytest.approx(0.5)
    silent = measure({"a": "", "x": " ", "b": "", "y": ""}, ("a", "x"), ("b", "y"))
    assert silent.matched and silent.matched.value == 0


def test_pairs_without_both_summaries_are_left_out_and_one_pair_has_no_control():
    found = measure({"a": "1 0", "x": "1 0", "b": "0 1"}, ("a", "x"), ("b", "y"))
    assert found == consistency.Consistency(1, consistency.Range(1.0, None, None), None, None)
    assert measure({}, ("a", "x")) == consistency.Consistency(0, None, None, None)


def test_the_interval_is_that_of_pairs_drawn_again():
    """Against a bootstrap that draws rows one by one."""
    draw = np.random.default_rng(1)
    cosines = draw.uniform(-1, 1, (7, 7))
    controls = ~np.eye(7, dtype=bool)
    rows = [draw.integers(0, 7, 7) for _ in range(200)]
    slow = []
    for row in rows:
        off = [cosines[i, j] for i in row for j in row if i != j]
        slow.append(np.mean([cosines[i, i] for i in row]) - np.mean(off))
    weights = np.array([np.bincount(row, minlength=7) for row in rows], dtype=float)
    np.testing.assert_allclose(consistency._means(weights, cosines, controls)[2], slow)


def test_a_clear_difference_has_an_interval_above_zero():
    draw = np.random.default_rng(0)
    subjects = draw.normal(size=(20, 8))
    texts = {f"l{n}": " ".join(map(str, row + draw.normal(size=8) / 5)) for n, row in enumerate(subjects)}
    texts |= {f"r{n}": " ".join(map(str, row + draw.normal(size=8) / 5)) for n, row in enumerate(subjects)}
    found = measure(texts, *[(f"l{n}", f"r{n}") for n in range(20)])
    assert found.difference and found.difference.low and found.difference.low > 0.5
    assert found.difference.low < found.difference.value < (found.difference.high or 0)


def test_every_encoder_and_model_has_its_own_draw_and_the_result_is_plain_json():
    texts = {"a": "1 0", "b": "0 2", "x": "3 0", "y": "1 1"}
    pairs = [pair("a", "x"), pair("b", "y")]
    both = consistency.consistency({"m": texts, "n": texts}, pairs, {"e": encode, "f": encode}, **CHANCE)
    alone = consistency.consistency({"m": texts}, pairs, {"e": encode}, **CHANCE)
    assert both["e"]["m"] == alone["e"]["m"]
    plain = consistency.as_json(both)
    assert json.loads(json.dumps(plain, allow_nan=False))["f"]["n"]["pairs"] == 2
