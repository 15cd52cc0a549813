"""`verify`, `why` and `runs` as a person sees them, and on a project that DVC itself has run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from breviary import artifacts, tracking
from breviary.cli.runs import runs
from breviary.cli.verify import ASCII, line, verify
from breviary.cli.why import why
from breviary.errors import ConfigError
from breviary.lineage.chain import Link
from breviary.lineage.objects import Verdict

PIPELINE = """
stages:
  data:
    cmd: python data.py
    deps: [data.py]
    params: [data]
    outs: [out]
    metrics:
      - runs/data.json: {cache: false}
  train:
    foreach: {a: out, b: out}
    do:
      cmd: python -c "open('m_${key}', 'w').write(open('${item}/a.txt').read())"
      deps: [data.py, "${item}"]
      params: [train.lr]
      outs: ["m_${key}"]
"""
DATA = """
import json, os
os.makedirs("out/in", exist_ok=True)
os.makedirs("runs", exist_ok=True)
open("out/a.txt", "w").write("one")
open("out/in/b c.txt", "w").write("two")
json.dump({"stage": "data", "key": "k"}, open("runs/data.json", "w"))
"""


@pytest.fixture
def dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two stages that DVC has run, committed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in {"PATH": path, "DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "DVC_NO_ANALYTICS": "1"}.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(root)
    artifacts.write_text(root / "dvc.yaml", PIPELINE)
    artifacts.write_text(root / "data.py", DATA)
    artifacts.write_text(root / "params.yaml", "data: {n: 1, l: [1, 2]}\ntrain: {lr: 1e-4}\n")
    command("git", "init", "-q")
    command("git", "config", "user.name", "t")
    command("git", "config", "user.email", "t@localhost")
    command(sys.executable, "-m", "dvc", "init", "-q")
    command(sys.executable, "-m", "dvc", "repro", "-q")
    command("git", "add", "-A")
    command("git", "commit", "-qm", "one")
    return root


def command(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_project_of_dvc_itself(dvc: Path) -> None:
    run = CliRunner()
    done = run.invoke(verify, ["m_a", "--no-runs"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "m_a: all 12 links hold"), done.output
    assert run.invoke(why, ["train"]).output == "train@a: nothing: up to date\ntrain@b: nothing: up to date\n"
    with pytest.raises(ConfigError, match=r"no stage 'trian' in dvc\.yaml; did you mean train or train@"):
        run.invoke(why, ["trian"], catch_exceptions=False)

    artifacts.write_text(dvc / "params.yaml", "data: {n: 3, l: [1, 2]}\ntrain: {lr: 2e-4}\n")
    artifacts.write_text(dvc / "data.py", f"{DATA}print()\n")
    (dvc / "m_a").unlink()
    artifacts.write_text(dvc / "m_b", "by hand")
    said = run.invoke(why, ["train@a"]).output
    assert "param   train.lr: 0.0001 -> 0.0002\n" in said
    assert "output  m_a: is not there; `dvc checkout m_a` brings it back" in said
    assert "before it: data\n" in said
    (told,) = json.loads(run.invoke(why, ["data", "--json"]).output)
    assert told["runs"] and {"kind": "param", "name": "data.n", "what": "1 -> 3"} in told["causes"]
    assert run.invoke(verify, ["m_a", "--no-runs"]).exit_code == 0  # all of it is in the cache and in the commit
    done = run.invoke(verify, ["m_b", "--no-runs"])
    assert done.exit_code == 1
    assert "artefact m_b is wrong: dvc.lock says" in done.output and "`dvc checkout --force m_b`" in done.output

    listing = next((dvc / ".dvc/cache/files/md5").rglob("*.dir"))
    listing.chmod(0o644)
    listing.write_text("[]")
    done = run.invoke(verify, ["m_a", "--no-runs", "--json"])
    assert done.exit_code == 1
    last = json.loads(done.output)["links"][-1]
    assert (last["name"], last["state"]) == ("out", "wrong")


@pytest.mark.slow
def test_the_runs_of_a_commit(dvc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner()
    assert "data   -    unknown  -" in run.invoke(runs).output
    assert not (dvc / ".mlflow").exists()
    monkeypatch.setenv("BREVIARY_TRACKING", "later")
    with tracking.run("data", {}, []):
        pass
    from breviary.cli.sync import sync

    assert run.invoke(sync).exit_code == 0
    here, _ = json.loads(run.invoke(runs, ["--json"]).output)
    (row,) = here["stages"]
    assert (here["results"], row["stage"], row["how"], row["status"]) == ("workspace", "data", "ran", "FINISHED")
    assert row["wall_seconds"] >= 0 and row["peak_mib"] > 0
    done = run.invoke(runs)
    assert f"data   {row['run']}  ran" in done.output
    assert "unknown: no such run" not in done.output.partition("commit")[0]


def test_a_line_has_a_mark_the_short_hash_and_what_was_found() -> None:
    link = Link(1, "output", "models/phase1", "0123456789", Verdict("missing", "not in the cache", "fetch"))
    assert line(link, ASCII) == "  XX output models/phase1  0123456  (MISSING: not in the cache)"
    assert line(Link(0, "stage", "mix", "", Verdict("holds")), ASCII) == "ok stage mix"


def test_without_results_runs_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    done = CliRunner().invoke(runs)
    assert (done.exit_code, done.output) == (0, "no results yet: `dvc repro` makes some\n")
