"""The whole pipeline on a random model, as a person runs it: in a clone, with `dvc`, killed and started again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    *(".dvc/config", ".dvcignore", ".gitignore", "configs", "dvc.yaml", "params.yaml", "profiles"),
    *("sample", "src", "stages"),
    *("metrics/ablation.json", "metrics/budget.json"),  # made by hand, in git; the report shows them
)
PHASE3_AND_AFTER = {
    *("train_phase3", "predict@phase3", "likelihood@phase3", "distill", "predict@student", "likelihood@student"),
    *("evaluate", "consistency", "register", "report"),
}

pytestmark = pytest.mark.slow


class Clone:
    """A clean checkout with the profile `tiny`, and its own model cache."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        home = {"BREVIARY_CACHE": str(cache), "DVC_SITE_CACHE_DIR": str(folder / "site"), "PATH": path}
        named = {f"GIT_{who}_{what}": "t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        self.environment = {**os.environ, **home, **named, "MLFLOW_DISABLE_TELEMETRY": "true"}
        for part in PARTS:
            target = folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, target, ignore=ignored)
            else:
                shutil.copyfile(ROOT / part, target)
        self.run("git", "init", "-q")
        self.run(sys.executable, "-m", "breviary", "profile", "apply", "tiny", PYTHONPATH="src")
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "start")

    def run(self, *command: str, **more: str) -> str:
        """Run a command here, and give what it printed."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment | more, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def lock(self) -> dict[str, Any]:
        """dvc.lock: every stage with the hashes of what it read and wrote."""
        return YAML(typ="safe").load((self.folder / "dvc.lock").read_text())["stages"]

    def hashes(self) -> dict[str, str]:
        """The md5 of every file that a stage read or wrote, so that one that differs has a name."""
        entries = [(stage, each) for stage, known in self.lock().items() for each in known["deps"] + known["outs"]]
        return {f"{stage}: {each['path']}": each["md5"] for stage, each in entries}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("done"), cache)
    clone.run("dvc", "repro")
    return clone


def test_every_model_has_a_row_of_numbers_and_every_stage_a_receipt(done: Clone) -> None:
    scores = {path.stem: json.loads(path.read_text()) for path in (done.folder / "metrics/scores").glob("*.json")}
    assert {"base", "phase1", "phase2", "phase3", "student", "lead3", "oracle"} <= set(scores)
    assert set(scores["phase3"]) == {"paper", "talk"}
    assert 0.05 < scores["lead3"]["talk"]["rouge1"] < scores["oracle"]["talk"]["rouge1"] < 1
    receipts = {path.stem for path in (done.folder / "runs").glob("*.json")}
    assert receipts == set(done.lock())


def test_a_second_repro_runs_nothing(done: Clone) -> None:
    assert "Data and pipelines are up to date" in done.run("dvc", "repro")


def test_an_experiment_on_phase_3_runs_phase_3_and_what_follows(done: Clone) -> None:
    said = done.run("dvc", "exp", "run", "--temp", "-n", "other-rate", "-S", "train_phase3.optimizer.lr=3.0e-4")
    ran = {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage '")}
    assert ran == PHASE3_AND_AFTER


def test_a_clone_that_is_killed_in_phase_2_ends_with_the_same_bytes(
    done: Clone, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clone = Clone(tmp_path_factory.mktemp("killed"), cache)
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=clone.folder,
        env=clone.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = clone.folder / ".checkpoints" / "train_phase2"
    while process.poll() is None and not list(checkpoints.glob("*/step-*")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(checkpoints.glob("*/step-*")), "phase 2 ended before it could be killed"
    assert not (clone.folder / "models/phase2").exists()
    clone.run("dvc", "repro")
    expected, found = done.hashes(), clone.hashes()
    assert {name for name in expected | found if expected.get(name) != found.get(name)} == set()
    assert clone.lock() == done.lock()
