"""The champion moves with a reason, back again, further back, and never where nobody knows why it is where it is."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.errors import RegistryError
from breviary.registry import history, versions
from breviary.registry.history import Change
from breviary.registry.versions import CHAMPION, Version
from breviary.tracking.store import Connection

Register = Callable[..., Version]


def champion(connection: Connection, version: Version) -> str:
    found = versions.aliased(connection, version.name, CHAMPION)
    assert found is not None
    return found.number


@pytest.mark.slow
def test_rolling_back_twice_goes_further_back_and_keeps_every_reason(
    connection: Connection, registered: Register
) -> None:
    first, second, third = (registered(content) for content in "abc")
    for version in (first, second, third):
        assert history.promote(connection, version, f"better than {version.number}", "gate")
    assert not history.promote(connection, third, "again", "gate")
    assert history.before(connection, third) == second
    assert [each.number for each in history.rollback(connection, first.name, "it invents numbers")] == ["3", "2"]
    assert history.withdrawn(connection, third) == "it invents numbers"
    assert [each.number for each in history.rollback(connection, first.name, "this one too")] == ["2", "1"]
    assert champion(connection, first) == "1"
    with pytest.raises(RegistryError, match="version 1 is the first champion, there is none to go back to"):
        history.rollback(connection, first.name, "and this")
    assert history.promote(connection, third, "the numbers were right", "hand")
    assert history.withdrawn(connection, third) is None
    made = history.changes(connection, first.name)
    assert [(each.action, each.version, each.by) for each in made] == [
        *(("promote", number, "gate") for number in "123"),
        ("rollback", "2", "hand"),
        ("rollback", "1", "hand"),
        ("promote", "3", "hand"),
    ]
    assert made[3].reason == "it invents numbers"
    assert history.before(connection, third) == first


@pytest.mark.slow
def test_an_alias_that_was_moved_elsewhere_is_not_rolled_back_but_can_be_set_right(
    connection: Connection, registered: Register
) -> None:
    first, second = registered("a"), registered("b")
    with pytest.raises(RegistryError, match="has no champion to roll back; `breviary promote"):
        history.rollback(connection, first.name, "why not")
    history.promote(connection, first, "good", "gate")
    versions.point(connection, CHAMPION, second)
    with pytest.raises(RegistryError, match="is version 2, but the last one that was promoted here is version 1"):
        history.rollback(connection, first.name, "back")
    assert history.before(connection, second) is None
    assert history.promote(connection, first, "the alias was moved by mistake", "hand")
    assert champion(connection, first) == "1"
    assert len(history.changes(connection, first.name)) == 1


@pytest.mark.slow
def test_a_promotion_without_a_reason_and_a_damaged_history_are_refused(
    connection: Connection, registered: Register
) -> None:
    version = registered("a")
    with pytest.raises(RegistryError, match="A promote needs a reason, which is kept"):
        history.promote(connection, version, "  ", "hand")
    assert versions.aliased(connection, version.name, CHAMPION) is None
    connection.client.set_registered_model_tag(version.name, "champion.0001", '{"half": ')
    with pytest.raises(RegistryError, match=r"its tag champion.0001 is not what breviary wrote"):
        history.promote(connection, version, "good", "hand")
    with pytest.raises(RegistryError, match="the history of nobody was not read"):
        history.changes(connection, "nobody")


@pytest.mark.slow
def test_a_version_that_was_deleted_is_not_gone_back_to(connection: Connection, registered: Register) -> None:
    first, second = registered("a"), registered("b")
    history.promote(connection, first, "good", "gate")
    history.promote(connection, second, "better", "gate")
    connection.client.delete_model_version(first.name, first.number)
    with pytest.raises(RegistryError, match=r"has no version 1 \(there is: 2\)"):
        history.rollback(connection, first.name, "back")
    assert champion(connection, second) == "2"


@given(st.lists(st.sampled_from(["1", "2", "3", "back"])))
def test_the_stack_is_what_promotions_put_and_rollbacks_take(moves: list[str]) -> None:
    made, kept = [], list[str]()
    for move in moves:
        if move == "back":
            kept = kept[:-1]
            made.append(Change("rollback", kept[-1] if kept else "", "hand", "why", ""))
        else:
            kept = [*kept, move]
            made.append(Change("promote", move, "gate", "why", ""))
    assert history.stack(made) == kept
