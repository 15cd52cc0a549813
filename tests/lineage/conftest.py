"""A small project, written by hand as DVC would leave it: base record, data, mixture, subspace, Fisher, adapter.

base_model ─┬─> subspace ─────────┐
download ─> mix ─> train_phase1 ──┼─> train_phase2 (the model)
                     └─> fisher ──┘
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from breviary import artifacts
from breviary.lineage import hashing, targets
from breviary.lineage.chain import Link
from breviary.model import resolve
from breviary.model.backbones import tiny

PARAMS = {
    "backbone": {"kind": "tiny", "layers": 1, "width": 16, "context_tokens": 64, "seed": 4},
    "data": {"n": 3},
    "train_phase2": {"lr": 0.001, "terms": {"ewc": {"weight": 400}}},
}
FLOW: dict[str, tuple[list[str], list[str], list[str]]] = {  # stage: what it reads, params, what it writes
    "base_model": ([], ["backbone"], ["models/base.json"]),
    "download": (["sample"], ["data"], ["data/documents.jsonl"]),
    "mix": (["data/documents.jsonl"], [], ["data/mixtures/phase1.jsonl"]),
    "subspace@base": (["models/base.json"], [], ["models/subspace/base.safetensors"]),
    "train_phase1": (["data/mixtures/phase1.jsonl", "models/base.json"], [], ["models/phase1"]),
    "fisher_phase1": (["models/phase1"], [], ["models/phase1_anchor"]),
    "train_phase2": (
        ["models/phase1", "models/phase1_anchor", "models/subspace/base.safetensors", "data/mixtures/phase1.jsonl"],
        ["train_phase2"],
        ["models/phase2"],
    ),
}
FOLDERS = {"models/phase1": "adapter", "models/phase2": "adapter", "models/phase1_anchor": "anchor"}


@dataclass(frozen=True)
class Project:
    """A project that a test may damage."""

    root: Path
    weights: Path  # the folder in the model cache

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str = "one") -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")

    def digest(self, path: str) -> str:
        return hashing.of_path(self.root / path)

    def cached(self, path: str) -> Path:
        """The object of a file in DVC's cache."""
        md5 = self.digest(path)
        return self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]

    def lock(self, params: Mapping[str, Any] = PARAMS) -> None:
        """Write dvc.lock and the cache as a `dvc repro` of this workspace would."""
        stages = {}
        for name, (reads, sections, writes) in FLOW.items():
            receipt = f"runs/{name}.json"
            stages[name] = {
                "cmd": f"python stages/{name.split('@')[0]}.py",
                "deps": [self._entry(path) for path in sorted([*reads, "src/code.py", "src/pack"])],
                "outs": [self._entry(path) for path in sorted([*writes, receipt])],
            }
            if sections:
                stages[name]["params"] = {"params.yaml": {key: params[key] for key in sections}}
            for path in writes:
                self._keep(path)
        with (self.root / "dvc.lock").open("w") as file:
            YAML().dump({"schema": "2.0", "stages": stages}, file)

    def write(self, **changes: str) -> None:
        """The output of every stage, made of its name and a text."""
        for stage, (_, _, writes) in FLOW.items():
            key = changes.get("key", f"key of {stage}")
            artifacts.write_json(self.root / "runs" / f"{stage}.json", {"stage": stage, "key": key})
            for path in writes:
                text = f"{path} {changes.get(stage, '')}\n"
                if path in FOLDERS:
                    artifacts.write_text(self.root / path / "adapter_config.json", "{}\n")
                    artifacts.write_text(self.root / path / f"{FOLDERS[path]}.safetensors", text)
                elif path != "models/base.json":
                    artifacts.write_text(self.root / path, text)

    def links(self, path: str = "models/phase2") -> list[Link]:
        return list(targets.links(targets.project(self.root), self.root / path, None))

    def broken(self, path: str = "models/phase2") -> list[Link]:
        return [link for link in self.links(path) if link.verdict.state != "holds"]

    def _entry(self, path: str) -> dict[str, str]:
        return {"path": path, "hash": "md5", "md5": self.digest(path)}

    def _keep(self, path: str) -> None:
        here = self.root / path
        md5 = hashing.of_path(here)
        place = self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        if here.is_file():
            place.write_bytes(here.read_bytes())
            return
        files = sorted(each for each in here.rglob("*") if each.is_file())
        listed = [{"md5": hashing.of_file(each), "relpath": each.relative_to(here).as_posix()} for each in files]
        place.write_text(json.dumps(listed))
        for each in files:
            self._keep(each.relative_to(self.root).as_posix())


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache that holds the smallest backbone there is, made once."""
    cache = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREVIARY_CACHE", str(cache))
        artifacts.write_json(cache / "base.json", resolve.record(tiny.Options.model_validate(PARAMS["backbone"])))
    return cache


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Path:
    """The project, run and committed, to be copied."""
    root = tmp_path_factory.mktemp("template")
    artifacts.write_text(root / ".gitignore", "/data/\n/models/\n/.dvc/\n/.mlflow/\n")
    artifacts.write_text(root / ".dvcignore", "# never hashed\n__pycache__\n*.pyc\n")
    artifacts.write_text(root / "src/code.py", "x = 1\n")
    artifacts.write_text(root / "src/pack/a.py", "a = 1\n")
    artifacts.write_text(root / "src/pack/b c.py", "b = 1\n")
    artifacts.write_text(root / "sample/talk.vtt", "WEBVTT\n")
    with (root / "params.yaml").open("w") as file:
        YAML().dump(PARAMS, file)
    (root / "models").mkdir()
    shutil.copy(model_cache / "base.json", root / "models/base.json")
    made = Project(root, model_cache)
    made.write()
    made.lock()
    made.git("init", "-q", "-b", "main")
    made.git("config", "user.name", "t")
    made.git("config", "user.email", "t@localhost")
    made.commit()
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path, model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project and a model cache that a test may damage."""
    shutil.copytree(model_cache, tmp_path / "cache")
    shutil.copytree(template, tmp_path / "project")
    monkeypatch.setenv("BREVIARY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "project")
    return Project(tmp_path / "project", resolve.place(PARAMS["backbone"]))
