"""Numbers in every spelling that a reader takes for the same number."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.evaluate.quantities import quantities


def values(text: str) -> list[str]:
    return [each.value for each in quantities(text)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,000", "1000"),
        ("1\u202f000", "1000"),
        ("a thousand", "1000"),
        ("3.5 million", "3500000"),
        ("3.5M", "3500000"),
        ("3 hundred thousand", "300000"),
        ("5k", "5000"),
        ("5 metres", "5"),
        ("5m", "5"),
        ("5%", "5"),
        ("five per cent", "5"),
        ("fifth", "5"),
        ("5th", "5"),
        ("forty-second", "42"),
        ("Twentieth", "20"),
        ("0.50", "0.5"),
        (".5", "0.5"),
        ("007", "7"),
        ("0", "0"),
        ("zero", "0"),
        ("the 1990s", "1990"),
        ("nineteen ninety-four", "1994"),
        ("twenty twenty", "2020"),
        ("three point one four", "3.14"),
        ("one hundred and five", "105"),
        ("two hundred thousand and six", "200006"),
        ("two million three hundred thousand", "2300000"),
        ("hundredth", "100"),
        ("GPT-2", "2"),
        ("version 2.5.1", "2.5.1"),
        ("It was 1.5.", "1.5"),
    ],
)
def test_a_number_has_one_value_in_every_spelling(text, value):
    assert values(text) == [value]


@pytest.mark.parametrize("text", ["BERT4Rec", "v2.1", "F1", "sixteenfold", "someone", "a tensor of weights", "", "½"])
def test_what_is_no_number_has_no_value(text):
    assert values(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2019,2020", ["2019", "2020"]),
        ("12,2020", ["12", "2020"]),
        ("1990-1995", ["1990", "1995"]),
        ("at 10:30", ["10", "30"]),
        ("one two three", ["1", "2", "3"]),
        ("in 2019 300 people", ["2019", "300"]),
    ],
)
def test_numbers_beside_each_other_stay_apart(text, found):
    assert values(text) == found


def test_only_words_that_are_often_idioms_are_unsure():
    found = quantities("One of the first two; a second, 1 and the 1st")
    assert [(each.value, each.sure) for each in found] == [
        ("1", False),
        ("1", False),
        ("2", True),
        ("2", False),
        ("1", True),
        ("1", True),
    ]


@given(st.text(alphabet="0123456789.,-k M%\nonetwhudrdai", max_size=60))
def test_numbers_stand_in_order_without_overlap_whatever_the_text(text):
    found = quantities(text)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert all(0 <= each.start < each.end <= len(text) for each in found)


@given(st.integers(0, 10**15))
def test_digits_mean_the_same_with_and_without_commas(number):
    assert values(f"{number:,}") == values(str(number)) == [str(number)]
