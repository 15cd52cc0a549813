"""An edit of one file runs again exactly the stages that use it, as DVC sees it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.declared import ROOT, Declared, but

# What must run again after an edit, and nothing else: one file of each layer.
MODELS = ("base", "phase1", "phase2", "phase3", "student")
PREDICT, LIKELIHOOD = ({f"{stage}@{model}" for model in MODELS} for stage in ("predict", "likelihood"))
SUBSPACE = {"subspace@base", "subspace@phase1", "subspace@phase2"}
TRAIN = {"train_phase1", "train_phase2", "train_phase3"}
FISHER = {"fisher_phase1", "fisher_phase2"}
AFTER_AN_EDIT = {
    "src/breviary/errors.py": {
        *("base_model", "download", "chunk", "mine_pairs", "mix", "distill"),
        *("evaluate", "consistency", "register", "report"),
        *(TRAIN | FISHER | SUBSPACE | PREDICT | LIKELIHOOD),
    },
    "src/breviary/data/sources/jsonl.py": {"download"},
    "src/breviary/data/pairs.py": {"mine_pairs", "report"},
    "src/breviary/data/mixtures.py": {"mix"},
    "src/breviary/learn/loop.py": {*TRAIN, "distill"},
    "src/breviary/learn/fisher.py": FISHER,
    "src/breviary/learn/decompose.py": SUBSPACE,
    "src/breviary/learn/terms/ewc.py": {"train_phase2", "train_phase3"},
    "src/breviary/learn/terms/distillation.py": {"distill"},
    "src/breviary/model/generate.py": {*PREDICT, "distill", "register"},
    "src/breviary/evaluate/metrics/rouge.py": {"evaluate", "consistency", "register", "report"},
    "src/breviary/evaluate/gate.py": {"register"},
    "src/breviary/registry/history.py": {"register"},
    "src/breviary/report/contents.py": {"report"},
}


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, declared: dict[str, Declared]) -> Path:
    """A copy of the pipeline in which every stage is up to date, with stand-ins for what the stages write."""
    copy = tmp_path_factory.mktemp("pipeline") / "copy"
    kept = ("src", "stages", "sample", "metrics", "params.yaml", "dvc.yaml", ".dvcignore", ".gitignore")
    shutil.copytree(ROOT, copy, ignore=but(*kept))
    (copy / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", copy / ".dvc/config")
    for out in sorted(out for each in declared.values() for out in each.outs):
        path = copy / out if Path(out).suffix else copy / out / "part"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(out)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    _dvc(copy, "commit", "--force")
    assert json.loads(_dvc(copy, "status", "--json")) == {}
    return copy


@pytest.mark.slow
@pytest.mark.parametrize("file", AFTER_AN_EDIT)
def test_an_edit_runs_exactly_the_stages_that_use_the_file(file: str, committed: Path) -> None:
    path = committed / file
    before = path.read_bytes()
    path.write_bytes(before + b"# edited\n")
    try:
        assert set(json.loads(_dvc(committed, "status", "--json"))) == AFTER_AN_EDIT[file]
    finally:
        path.write_bytes(before)


def _dvc(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
