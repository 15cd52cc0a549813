"""`breviary serve`: who may reach it."""

from click.testing import CliRunner

from breviary.cli.serve import serve
from breviary.errors import ConfigError


def test_other_machines_are_not_let_in_without_a_token(monkeypatch):
    monkeypatch.delenv("BREVIARY_TOKEN", raising=False)
    result = CliRunner().invoke(serve, ["--host", "0.0.0.0"])
    assert isinstance(result.exception, ConfigError)
    assert "set $BREVIARY_TOKEN" in str(result.exception)


def test_a_port_that_cannot_be_is_refused():
    result = CliRunner().invoke(serve, ["--port", "70000"])
    assert result.exit_code == 2
    assert "70000 is not in the range" in result.stderr
