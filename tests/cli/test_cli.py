"""The command itself: what it prints, its exit status, and that it starts quickly."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from breviary import cli
from breviary.cli import commands

SOURCE = Path(cli.__file__).parents[2]


def test_an_expected_error_is_a_message_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["breviary", "profile", "list"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "breviary: profiles/: missing; run from the top of the project\n"


def test_sync_without_anything_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    done = CliRunner().invoke(commands, ["sync"])
    assert (done.exit_code, done.output) == (0, "nothing to upload\n")


@pytest.mark.slow
def test_sync_says_what_it_could_not_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from breviary import tracking

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("BREVIARY_TRACKING", "later")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with tracking.run("chunk", {}, []):
        pass
    done = CliRunner().invoke(commands, ["sync", "--to", "http://127.0.0.1:1"])
    assert done.exit_code == 1
    assert done.output.startswith("chunk-") and "uploaded" not in done.output


def test_help_starts_without_the_heavy_libraries(tmp_path: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['breviary', '--help']\n"
        "try: runpy.run_module('breviary', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'mlflow', 'datasets', 'peft'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": str(SOURCE), "LC_ALL": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"
    assert {"doctor", "profile", "sync"} < set(done.stdout.split())


@pytest.mark.parametrize(("given", "kept"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(given: dict[str, str], kept: str) -> None:
    code = (
        "import os, sys\n"
        "from breviary import cli\n"
        "assert 'torch' not in sys.modules  # which reads it once\n"
        "sys.argv = ['breviary', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {"PYTHONPATH": str(SOURCE), "LC_ALL": "C.UTF-8", **given}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == kept
