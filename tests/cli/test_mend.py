"""What a crash leaves of the files that DVC writes in place."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from breviary.cli import mend

WHOLE = """schema: '2.0'
stages:
  chunk:
    cmd: python stages/chunk.py
    deps:
    - path: data/documents.jsonl
      hash: md5
      md5: 0cc175b9c0f1b6a831c399e269772661
      size: 1
    params:
      params.yaml:
        chunk:
          max_tokens: 5
    outs:
    - path: data/chunks.jsonl
      hash: md5
      md5: 92eb5ffee6ae2fec3ad71c777531578f
      size: 1
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a dvc.lock that was committed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(WHOLE)
    who = ["-c", "user.name=t", "-c", "user.email=t"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "start"]):
        subprocess.run(["git", *words], check=True)
    return tmp_path


def said(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(mend.mend, list(arguments))
    assert done.exit_code == status, done.output
    return done.output


@pytest.mark.slow
def test_a_lock_that_dvc_would_refuse_is_never_taken_for_whole() -> None:
    from dvc.dvcfile import Lockfile
    from dvc.utils.strictyaml import YAMLValidationError
    from ruamel.yaml import YAMLError

    for length in range(0, len(WHOLE), 2):
        cut = WHOLE[:length]
        try:
            Lockfile.validate(YAML(typ="safe").load(cut) or {})
        except (YAMLError, YAMLValidationError):
            assert not mend.is_whole(cut.encode()), cut
    assert mend.is_whole(WHOLE.encode())


def test_a_lock_cut_short_comes_back_from_git(project: Path) -> None:
    Path("dvc.lock").write_text(WHOLE[:200])
    assert said() == "dvc.lock was cut short: the one in git took its place; run `dvc repro`\n"
    assert Path("dvc.lock").read_text() == WHOLE
    assert said() == ""


def test_a_lock_that_git_has_not_is_removed(project: Path) -> None:
    subprocess.run(["git", "rm", "-q", "--cached", "dvc.lock"], check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t", "commit", "-qm", "without"], check=True)
    Path("dvc.lock").write_text(WHOLE[:200])
    assert said() == "dvc.lock was cut short: removed; run `dvc repro`\n"
    assert not Path("dvc.lock").exists()


def test_a_list_of_owners_cut_short_is_removed_and_a_whole_one_kept(project: Path) -> None:
    owners = Path(".dvc/tmp/rwlock")
    owners.write_text('{"read": {}, "write": {}}')
    assert said() == ""
    owners.write_text('{"read": {"a": [{"pi')
    assert said() == ".dvc/tmp/rwlock was cut short: removed\n"
    assert not owners.exists()


def test_only_old_temporary_files_are_removed(project: Path) -> None:
    cache = Path(".dvc/cache/files/md5/0c")
    cache.mkdir(parents=True)
    strays = [cache / ".Zm9vYmFyYmF6cXV4cXV1eA.tmp", Path(".chunks.jsonl.host.77.part")]
    kept = [cache / "c175b9c0f1b6a831c399e269772661", Path("notes.tmp"), Path("spare.part")]
    for path in (*strays, *kept):
        path.write_text("x")
    assert said() == ""
    assert said("--older", "0") == "".join(f"{path}: removed\n" for path in reversed(strays))
    assert not any(path.exists() for path in strays)
    assert all(path.exists() for path in kept)


def test_nothing_is_touched_while_dvc_is_at_work(project: Path) -> None:
    Path("dvc.lock").write_text(WHOLE[:200])
    with Path(".dvc/tmp/lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "`dvc` is at work in" in said(status=1)
    assert os.path.getsize("dvc.lock") == 200
    said()
    assert Path("dvc.lock").read_text() == WHOLE


@pytest.mark.parametrize("name", ["dvc", "other"])
def test_nothing_is_touched_while_a_stage_of_dvc_runs(project: Path, name: str) -> None:
    Path("dvc.lock").write_text(WHOLE[:200])
    with subprocess.Popen([sys.executable, "-c", "input()", name], stdin=subprocess.PIPE) as running:
        owner = {"pid": running.pid, "cmd": "dvc repro"}
        Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {"a": owner}, "read": {"b": [owner]}}))
        if name == "dvc":
            assert "`dvc` is at work in" in said(status=1)
            assert os.path.getsize("dvc.lock") == 200
        running.communicate(b"\n")
    said()
    assert Path("dvc.lock").read_text() == WHOLE
