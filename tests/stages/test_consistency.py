"""The stage `consistency` on predictions written by hand, with an encoder that hears words."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from breviary import artifacts, config
from breviary.model import encoder, resolve
from breviary.records import Chunk, Document, Pair, Prediction
from tests.projects import configure, enter

SCRIPT = Path(__file__).parents[2] / "stages" / "consistency.py"
SECTIONS = {name: config.SECTIONS[name] for name in ("runtime", "evaluate")}
PARAMS = """
runtime: {seed: 1, threads: 1}
evaluate:
  models: [base, phase1]
  metrics: [{kind: rouge}]
  resamples: 199
  level: 0.95
  target: {domain: talk, metric: rouge1, model: phase1, against: base}
"""
SUBJECTS = ["bridges and rivers", "bees in winter", "maps of cities", "glass and heat"]


def hears_words(texts):
    """A unit vector of the words of each text."""
    rows = [[sum(map(ord, word)) % 64 for word in text.split()] for text in texts]
    counted = np.array([np.bincount(row, minlength=64) for row in rows], float)
    return torch.tensor(counted / np.linalg.norm(counted, axis=1, keepdims=True))


@pytest.fixture
def project(tmp_path, monkeypatch):
    enter(monkeypatch, tmp_path)
    monkeypatch.setattr(encoder, "load", lambda folder: SimpleNamespace(encode=hears_words))
    monkeypatch.setattr(resolve, "folder", lambda path: path)
    monkeypatch.setattr(resolve, "identity", lambda path: "of words")
    configure(monkeypatch, PARAMS, SECTIONS)
    made = {
        (domain, subject): Document(
            domain, f"{domain}: {subject}", f"All about {subject}.", subject, id=f"{domain[0]}{n}"
        )
        for domain in ("paper", "talk")
        for n, subject in enumerate(SUBJECTS)
    }
    artifacts.write_records(Path("data/documents.jsonl"), made.values())
    texts = [f"{subject} are what passage {n} is about" for n, subject in enumerate(SUBJECTS * 3)]
    chunks = [Chunk(f"d{n}", "paper", "train", 0, 0, len(text), 9, text) for n, text in enumerate(texts)]
    artifacts.write_records(Path("data/chunks.jsonl"), chunks)
    pairs = [Pair(f"p{n}", f"t{n}", "", "", "test", 0.9, 1.2) for n in range(len(SUBJECTS))]
    artifacts.write_records(Path("data/pairs.jsonl"), pairs)
    artifacts.write_json(Path("models/encoder.json"), {"files": {}})
    for model in ("base", "phase1", "phase2", "phase3", "student"):
        said = {key: each.summary if model != "base" else "the same for all of them" for key, each in made.items()}
        predictions = [
            Prediction(each.id, each.domain, model, said[key], 9, 9, True, False)
            for key, each in sorted(made.items(), key=lambda item: item[1].id)
        ]
        artifacts.write_records(Path(f"data/predictions/{model}.jsonl"), predictions)


def test_a_model_that_says_the_same_of_all_has_no_difference(project):
    result = CliRunner().invoke(runpy.run_path(str(SCRIPT))["main"], [])
    assert result.exit_code == 0, result.stderr
    assert "miner (4 pairs)" in result.stdout
    found = json.loads(Path("metrics/consistency.json").read_text())
    assert found["settings"]["miner"] == "of words"
    for heard in found["consistency"].values():
        assert heard["base"]["difference"]["value"] == pytest.approx(0)
        assert heard["phase1"]["matched"]["value"] == pytest.approx(1)
        assert heard["phase1"]["difference"]["value"] > 0.3


def test_what_is_missing_is_named(project):
    Path("data/predictions/phase1.jsonl").unlink()
    result = CliRunner().invoke(runpy.run_path(str(SCRIPT))["main"], [])
    assert result.exit_code == 2
    assert "missing: data/predictions/phase1.jsonl" in result.stderr
