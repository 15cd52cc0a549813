"""One error each, the same for the same draw, and none where there is nothing to make wrong."""

import random
from dataclasses import replace

import pytest

from breviary.evaluate.perturbations import (
    PERTURBATIONS,
    Case,
    entity_other,
    entity_same,
    negation,
    number_other,
    number_same,
    sentence_other,
)
from breviary.evaluate.quantities import quantities

CASE = Case(
    summary="In 2019 the trial was stopped. It had 12 members.",
    source="In 2019, after 2017 and 2018, the trial of 12 members was stopped; 40 had left.",
    other_summary="The bridge can carry trains. It is new.",
    other_source="Built in 1883, it is 486 metres long and 26 wide.",
)


def draw(seed: int = 0) -> random.Random:
    return random.Random(seed)


def values(text: str | None) -> list[str]:
    return [each.value for each in quantities(text or "")]


@pytest.mark.parametrize("seed", range(8))
def test_one_number_becomes_one_of_the_other_document_of_the_same_shape(seed):
    assert values(number_other(CASE, draw(seed))) in (["1883", "12"], ["2019", "486"], ["2019", "26"])


@pytest.mark.parametrize("seed", range(8))
def test_one_number_becomes_another_of_the_same_source(seed):
    assert values(number_same(CASE, draw(seed))) in (["2017", "12"], ["2018", "12"], ["2019", "40"])


def test_a_number_of_another_shape_serves_where_there_is_no_other():
    case = replace(CASE, summary="It had 12 members.", other_source="In 1994.")
    assert number_other(case, draw()) == "It had 1994 members."


def test_what_is_perhaps_no_number_is_left_alone():
    assert number_other(replace(CASE, summary="No one came."), draw()) is None


def test_a_number_that_the_summary_has_is_no_error():
    assert number_other(replace(CASE, summary="It is 486.", other_source="486 or 486."), draw()) is None


@pytest.mark.parametrize(
    ("summary", "denied"),
    [
        ("It was built.", "It was not built."),
        ("It was not built.", "It was built."),
    ],
)
def test_a_sentence_is_denied_or_its_denial_taken_away(summary, denied):
    assert negation(replace(CASE, summary=summary), draw()) == denied


def test_a_summary_without_an_auxiliary_is_not_denied():
    assert negation(replace(CASE, summary="We built it and can\u2019t sell it."), draw()) is None


@pytest.mark.parametrize("seed", range(4))
def test_one_sentence_becomes_one_of_the_other_summary(seed):
    made = sentence_other(CASE, draw(seed)) or ""
    kept = [each for each in ("In 2019 the trial was stopped.", "It had 12 members.") if each in made]
    foreign = [each for each in ("The bridge can carry trains.", "It is new.") if each in made]
    assert (len(kept), len(foreign)) == (1, 1)


def test_an_empty_summary_cannot_be_made_wrong_and_the_same_summary_makes_nothing_wrong():
    empty = replace(CASE, summary="")
    assert [number_other(empty, draw()), negation(empty, draw()), sentence_other(empty, draw())] == [None] * 3
    assert sentence_other(replace(CASE, other_summary=CASE.summary), draw()) is None


@pytest.mark.slow
def test_one_name_becomes_another():
    case = Case("Angela Merkel spoke.", "Angela Merkel met Barack Obama.", "Emmanuel Macron left.", "It rained.")
    assert entity_other(case, draw()) == "Emmanuel Macron spoke."
    assert entity_same(case, draw()) == "Barack Obama spoke."
    assert entity_same(replace(case, source="Angela Merkel spoke."), draw()) is None
    assert entity_other(replace(case, summary="They spoke."), draw()) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_the_same_draw_makes_the_same_error(kind):
    assert PERTURBATIONS[kind](CASE, draw(3)) == PERTURBATIONS[kind](CASE, draw(3))
