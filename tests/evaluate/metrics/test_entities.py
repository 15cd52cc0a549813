"""Entity precision counted by hand; the recogniser itself only where it must be."""

import math
from pathlib import Path

import pytest

from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import entities
from breviary.evaluate.names import Name

SOURCE = "Marie Curie's group at the University of Paris met Americans from the U.S. Navy."


def known(text: str = SOURCE) -> frozenset[str]:
    return frozenset(entities._words(text))


def share(*texts: str) -> float:
    return entities.precision([Name(0, 0, text, "ORG") for text in texts], known())


@pytest.mark.parametrize(
    "name", ["Marie Curie", "Curie", "CURIE's", "the University of Paris", "US Navy", "American", "Paris University"]
)
def test_a_name_whose_words_the_source_has_counts(name):
    assert share(name) == 1


@pytest.mark.parametrize("name", ["Pierre Curie", "the University of Oslo", "NATO"])
def test_a_name_with_one_other_word_does_not(name):
    assert share(name) == 0


def test_names_are_counted_once():
    assert share("Curie", "Curie's", "the Curie", "Oslo") == 0.5


def test_names_without_a_word_that_tells_them_are_none():
    assert math.isnan(share("the", "2019"))
    assert math.isnan(share())


@pytest.mark.slow
def test_summaries_are_held_against_their_own_sources():
    oslo = "Angela Merkel visited Oslo."
    texts = [
        Texts("Angela Merkel visited Paris.", "", "Merkel, Angela, was in Paris."),
        Texts(oslo, "", "Angela Merkel was in Paris."),
        Texts(oslo, "", "Angela Merkel was in Oslo."),
        Texts("", "", "Angela Merkel was in Oslo."),
    ]
    found = [each["entity_precision"] for each in entities.score(texts)]
    assert found[:3] == [1, 0.5, 1]
    assert math.isnan(found[3])


def test_the_metric_names_its_backend():
    metric = entities.build(entities.Options(kind="entities"), Given(lambda: Path(), lambda: ""))
    assert "en_core_web_sm" in metric.settings["backend"]
    assert set(entities.HIGHER_IS_BETTER) == {"entity_precision"}
