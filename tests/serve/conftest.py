"""A project with a tiny model, its adapters and their measurements, and a registry of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from breviary import artifacts, config
from breviary.evaluate.dossier import Dossier
from breviary.evaluate.scoring import Scored
from breviary.model import adapt
from breviary.registry import versions
from breviary.serve import registered
from breviary.serve.candidate import Candidate
from breviary.tracking import store

PARAMS = """
runtime: {seed: 1, threads: 1}
compute: {precision: fp32, quantisation: none}
prompt: {style: plain, max_tokens: 320, max_summary_tokens: 64}
predict:
  split: test
  limit: null
  batch_size: 4
  max_new_tokens: 24
  decoding:
    {beams: 1, sample: false, temperature: 1.0, top_p: 1.0, length_penalty: 1.0, repetition_penalty: 1.0,
     no_repeat_ngram: 3}
"""
DOCUMENTS = [(f"{domain}{at:02d}", domain, at) for domain in ("paper", "talk") for at in range(10)]


@pytest.fixture(scope="session")
def registry_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture
def connection(tmp_path: Path, registry_database: str, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> store.Connection:
    """The registry, in a project that is the current folder, with the tiny backbone in the model cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    monkeypatch.setenv("BREVIARY_TRACKING", "later")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_database)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    for name, value in store.PATIENCE.items():
        monkeypatch.setenv(name, value)
    shutil.copyfile(tiny.record, _made(tmp_path / "models") / "base.json")
    (tmp_path / "params.yaml").write_text(PARAMS)
    return versions.opened()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def measured() -> Callable[..., Dossier]:
    """What a model with these means is known to have done."""

    def measure(model: str, *, rouge: float = 0.3, nats: float = 4.0) -> Dossier:
        records = [
            Scored(
                name,
                domain,
                model,
                {"rouge1": rouge + 0.01 * at, "summary_nats": nats + 0.1 * at, "text_nats": 5.0, "phrase": 0.1},
            )
            for name, domain, at in DOCUMENTS
        ]
        return Dossier(model, records, {"rouge": {"stemmer": True}})

    return measure


@pytest.fixture
def trained(connection: store.Connection, tiny: Any, tmp_path: Path) -> Callable[[int, Dossier], Candidate]:
    """Trains, so to speak: another seed is another adapter, with the receipts of its stages."""

    def train(seed: int, measured: Dossier) -> Candidate:
        adapt.save(tiny.adapted(seed=seed), tmp_path / "models/phase3", tiny.identity)
        for name in ("train_phase3", "mix", "register"):
            artifacts.write_json(
                tmp_path / f"runs/{name}.json", {"stage": name, "key": f"{tmp_path.name}-{name}-{seed}"}
            )
        params: config.Params = registered.params(Path("params.yaml"))
        adapter, base = Path("models/phase3"), Path("models/base.json")
        return Candidate(tmp_path.name, adapter, base, params, measured, "train_phase3", Path("runs"))

    return train
