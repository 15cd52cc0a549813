"""`breviary promote` and `breviary rollback`: what they say, and that a reason is kept."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from breviary.cli import promote, rollback
from breviary.errors import RegistryError
from breviary.registry import history, versions
from breviary.tracking import store
from tests.projects import enter


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> store.Connection:
    """A registry with two versions of `breviary`."""
    enter(monkeypatch, tmp_path)
    connection = versions.opened()
    (tmp_path / "files").mkdir()
    (tmp_path / "files/MLmodel").write_text("flavors: {}")
    for content in ("a", "b"):
        run = versions.trained(connection, Path("none.json"), "breviary")
        tags = {"dvc.md5": content, "serving": "s", "gate": "refused"}
        versions.register(connection, "breviary", tmp_path / "files", tags, run)
    return connection


def run(command: object, *words: str) -> Result:
    return CliRunner().invoke(command, list(words), catch_exceptions=False)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_a_person_promotes_and_rolls_back_with_reasons(connection: store.Connection) -> None:
    assert run(promote.promote, "breviary", "1").exit_code == 2
    for number in "12":
        said = run(promote.promote, "breviary", number, "--reason", f"reason {number}").output
        assert said == f"breviary version {number} is the champion now; the gate had said: refused\n"
    assert (
        run(promote.promote, "breviary", "2", "--reason", "x").output == "breviary version 2 is the champion already\n"
    )
    said = run(rollback.rollback, "breviary", "--reason", "it repeats itself").output
    assert said == "breviary version 1 is the champion again; breviary version 2 is not, and the gate leaves it so\n"
    reasons = [change.reason for change in history.changes(connection, "breviary")]
    assert reasons == ["reason 1", "reason 2", "it repeats itself"]
    with pytest.raises(RegistryError, match=r"breviary has no version 9 \(there is: 1, 2\)"):
        run(promote.promote, "breviary", "9", "--reason", "x")
