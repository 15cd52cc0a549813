"""The benchmark of faithfulness metrics: halves, AUC by hand, and the threshold that parts two heaps."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import pytest

from bench import faithfulness
from breviary.evaluate.perturbations import Case
from breviary.records import Document

ROOT = Path(__file__).resolve().parents[2]


def encode(texts: Sequence[str]) -> np.ndarray:
    """Each text leans to the letter X or Y by how often it has it."""
    counts = np.array([[text.count(letter) for letter in "XY"] for text in texts], dtype=float)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True).clip(min=1e-6)


def test_auc_is_the_chance_that_a_reference_is_above_a_wrong_one():
    found = faithfulness.told([(1.0, 0.5), (0.5, 0.5), (0.2, 0.4), (0.9, float("nan"))], "name")
    # of the nine comparisons 1.0 wins three, 0.5 wins one and ties two, 0.2 loses all
    assert found["n"] == 3
    assert found["auc"]["value"] == pytest.approx((3 + 1 + 2 * 0.5) / 9, abs=1e-4)
    assert found["paired"]["value"] == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-4)
    assert found["auc"]["low"] <= found["auc"]["value"] <= found["auc"]["high"]


def test_what_is_always_told_apart_has_auc_one_and_what_never_is_a_half():
    assert faithfulness.told([(1.0, 0.0)] * 5, "name")["auc"] == {"value": 1, "low": 1, "high": 1}
    assert faithfulness.told([(1.0, 1.0)] * 5, "name")["auc"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert faithfulness.told([(1.0, 1.0)], "name") == {"n": 1, "auc": None, "paired": None}


def test_halves_share_no_document_and_wrong_things_come_from_the_same_half():
    documents = [Document(domain, "", f"text {domain} {n}", f"summary {n}") for n in range(7) for domain in "ab"]
    found = faithfulness.corpus(documents)
    for one, other in ((found.choosing, found.measuring), (found.measuring, found.choosing)):
        own = {each.source for each in one}
        assert {each.other_source for each in one} == own
        assert not own & {each.source for each in other}
    assert len(found.choosing) + len(found.measuring) == 14
    assert all(each.source != each.other_source for each in found.choosing)
    assert faithfulness.corpus(documents[::-1]) == found


def test_a_corpus_too_small_to_halve_is_refused():
    with pytest.raises(click.ClickException, match="a: 3 documents; at least 4 are needed"):
        faithfulness.corpus([Document("a", "", f"text {n}", "summary") for n in range(3)])


def test_the_threshold_parts_own_from_foreign_sentences():
    cases = [Case("All X.", "An X here.", "All YYX.", "A Y here.")] * 3  # cosines 1 and 1 / sqrt 5
    threshold, sentences = faithfulness.calibrate({"c": faithfulness.Corpus(cases, cases)}, encode)
    assert 0.44 < threshold < 0.46  # the first on the grid above 0.447
    expected = {"own_supported": 1.0, "foreign_supported": 0.0, "own_sentences": 3, "foreign_sentences": 3}
    assert sentences["c"] == {"choosing": expected, "measuring": expected}


def test_the_published_table_is_that_of_the_committed_measurement():
    found = json.loads((ROOT / "metrics" / "faithfulness.json").read_text(encoding="utf-8"))
    assert faithfulness.markdown(found) in (ROOT / "docs" / "FAITHFULNESS.md").read_text(encoding="utf-8")
