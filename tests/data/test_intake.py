"""Reasons and repairs are a closed list: tables of them keep their columns."""

from breviary.data import intake


def test_names_are_distinct_and_fit_a_metric() -> None:
    names = [*intake.REASONS, *intake.REPAIRS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
