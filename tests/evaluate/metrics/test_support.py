"""Support with an encoder whose vectors are known: each letter of a text is one direction."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from breviary import artifacts
from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import support

ROOT = Path(__file__).resolve().parents[3]


def encode(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors that count the letters X, Y and Z of each text."""
    counts = np.array([[text.count(letter) for letter in "XYZ"] for text in texts], dtype=np.float32)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True).clip(min=1e-6)


def test_each_sentence_has_its_best_sentence_or_two_in_a_row():
    texts = [Texts("It was X. It was Z. It was X and Y.", "", "There X. There Y.")]
    (best,) = support.nearest([(texts[0].summary, texts[0].source)], encode)
    np.testing.assert_allclose(best, [1, 0, 1], atol=1e-6)  # X and Y are said in two sentences
    assert support.score(texts, encode, 0.5) == [
        {"support": pytest.approx(2 / 3, abs=1e-6), "supported": pytest.approx(2 / 3)}
    ]


def test_the_threshold_itself_supports():
    half = [Texts("It was XX.", "", "There X Y.")]  # cosine 1 / sqrt 2
    assert support.score(half, encode, 0.70)[0]["supported"] == 1
    assert support.score(half, encode, 0.71)[0]["supported"] == 0
    assert support.score(half, encode, 0.71)[0]["support"] == pytest.approx(math.sqrt(0.5), abs=1e-6)


@pytest.mark.parametrize(("summary", "source"), [("", "X."), ("X.", ""), ("", ""), ("...", "X."), ("X.", " \n")])
def test_nothing_supports_nothing(summary, source):
    assert support.score([Texts(summary, "", source)], encode, 0.5) == [{"support": 0.0, "supported": 0.0}]


def test_nothing_is_encoded_twice():
    asked: list[str] = []

    def counting(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return encode(texts)

    texts = [Texts("X here.", "", "X here. Y there."), Texts("Y there.", "", "X here. Y there.")] * 3
    assert [each["support"] for each in support.score(texts, counting, 0.5)] == [pytest.approx(1)] * 6
    assert sorted(asked) == ["X here.", "Y there."]


def test_speech_without_full_stops_is_cut():
    found = support.sentences("word " * 130 + "end")
    assert [len(each.split()) for each in found] == [60, 60, 11]


def test_copying_the_source_is_wholly_supported():
    source = "X here. Y and Z there. Z alone."
    assert support.score([Texts(source, "", source)], encode, 0.99) == [
        {"support": pytest.approx(1), "supported": pytest.approx(1)}
    ]


def test_settings_name_encoder_and_threshold_without_loading_anything():
    def never() -> Path:
        raise AssertionError("nothing is to be encoded yet")

    metric = support.build(support.Options(kind="support"), Given(never, lambda: "abc"))
    assert metric.settings["encoder"] == "abc"
    assert metric.settings["threshold"] == support.THRESHOLD
    assert support.HIGHER_IS_BETTER == {"support": True, "supported": True}


def test_the_threshold_is_the_calibrated_one():
    assert artifacts.read_json(ROOT / "metrics" / "faithfulness.json")["threshold"]["value"] == support.THRESHOLD
