"""The recogniser finds names where they stand, and no amounts."""

import pytest

from breviary.evaluate.names import BACKEND, names

pytestmark = pytest.mark.slow  # the recogniser takes two seconds to load


def test_names_stand_where_they_say_and_amounts_are_none():
    text = "In 1903 Marie\nCurie moved from Poland to Paris with ten dollars."
    (found,) = names([text])
    assert {(each.text, each.label) for each in found} >= {("Marie Curie", "PERSON"), ("Paris", "GPE")}
    assert all(text[each.start : each.end].replace("\n", " ") == each.text for each in found)
    assert not {"1903", "ten dollars"} & {each.text for each in found}


def test_texts_keep_their_order_and_an_empty_one_has_no_names():
    first, empty, last = names(["Berlin is big.", "", "London is bigger."])
    assert [[each.text for each in found] for found in (first, empty, last)] == [["Berlin"], [], ["London"]]


def test_the_backend_names_its_versions():
    assert BACKEND.count(".") >= 4
