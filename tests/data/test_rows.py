"""Field maps and choice of rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.data import rows
from breviary.errors import DataError
from breviary.records import Document

NAMES = rows.Fields(text="text")


def test_a_row_without_a_domain_is_refused() -> None:
    with pytest.raises(DataError, match=r"f:3: no domain; set `domain` of this source, or fields\.domain"):
        rows.document({"text": "T."}, NAMES, domain="", licence="", where="f:3")


def test_null_is_nothing_and_a_number_is_text() -> None:
    made = rows.document({"text": "T.", "title": None, "id": 7}, NAMES, domain="x", licence="L", where="f:1")
    assert (made.title, made.source, made.licence) == ("", "7", "L")


@pytest.mark.parametrize("value", [["x"], {"x": 1}, True])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(DataError, match="f:1: field 'title' must be text, got "):
        rows.document({"text": "T.", "title": value}, NAMES, domain="x", licence="", where="f:1")


def test_a_filter_does_not_take_one_for_true() -> None:
    assert rows.matches({"a": 1}, {"a": 1})
    assert not rows.matches({"a": 1}, {"a": True})
    assert not rows.matches({}, {"a": 1})


@given(st.sets(st.text(max_size=5), max_size=30), st.integers(1, 40), st.randoms())
def test_a_sample_depends_on_ids_alone(ids: set[str], limit: int, random: object) -> None:
    documents = [Document("x", "", "T.", source=each) for each in sorted(ids)]
    shuffled = list(documents)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    chosen = rows.sample(documents, limit)
    assert chosen == rows.sample(shuffled, limit)
    assert len(chosen) == min(limit, len(ids))
    assert set(chosen) <= set(rows.sample(documents, limit + 1))
