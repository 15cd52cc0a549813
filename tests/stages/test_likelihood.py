"""The stage `likelihood` on the tiny backbone: files in, files out."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from breviary import artifacts, config
from breviary.model import adapt
from breviary.records import Document, Likelihood
from tests.projects import configure, enter

SCRIPT = Path(__file__).parents[2] / "stages" / "likelihood.py"
SECTIONS = {name: config.SECTIONS[name] for name in ("runtime", "compute", "prompt")}
SECTIONS["likelihood"] = "breviary.summarise.likelihoods"
PARAMS = """
runtime: {seed: 1, threads: 1}
compute: {precision: fp32, quantisation: none}
prompt: {style: plain, max_tokens: 128, max_summary_tokens: 32}
likelihood: {split: test, limit: 2, batch_size: 3, text_tokens: 16}
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Any) -> Path:
    """A folder with params, the tiny backbone, documents and the adapter of one phase."""
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    configure(monkeypatch, PARAMS, SECTIONS)
    artifacts.write_json(Path("models/base.json"), artifacts.read_json(tiny.record))
    documents = [
        Document(domain, f"{n}", f"{domain} {n} says this. " * 3, f"About {n}." if n else "")
        for domain in ("paper", "talk")
        for n in range(5)
    ]
    artifacts.write_records(Path("data/documents.jsonl"), documents)
    artifacts.write_json(Path("data/splits.json"), {each.id: "test" for each in documents})
    trained = tiny.adapted()
    with torch.no_grad():
        for weight in adapt.trainable(trained).values():
            weight.normal_(generator=torch.Generator().manual_seed(1))
    adapt.save(trained, Path("models/phase1"), tiny.identity)
    return tmp_path


def run(model: str) -> Result:
    yielded = CliRunner().invoke(runpy.run_path(str(SCRIPT))["main"], [model], catch_exceptions=False)
    torch.use_deterministic_algorithms(False)
    return yielded


def read(model: str) -> list[Likelihood]:
    return artifacts.read_records(Path(f"data/likelihoods/{model}.jsonl"), Likelihood)


def test_each_model_is_measured_on_the_same_documents(project: Path) -> None:
    for model in ("base", "phase1"):
        assert run(model).exit_code == 0
    base, phase1 = read("base"), read("phase1")
    assert [each.document for each in base] == [each.document for each in phase1]
    assert sorted(each.domain for each in base) == ["paper", "paper", "talk", "talk"]
    assert {each.model for each in phase1} == {"phase1"}
    measured = [[(each.summary_nats, each.text_nats) for each in found] for found in (base, phase1)]
    assert all(one != other for one, other in zip(*measured, strict=True))
    assert {each.text_tokens for each in base} == {15}
    before = (project / "data/likelihoods/base.jsonl").read_bytes()
    assert run("base").exit_code == 0
    assert (project / "data/likelihoods/base.jsonl").read_bytes() == before


def test_text_beyond_the_window_is_refused_before_a_model_is_loaded(project: Path) -> None:
    (project / "params.yaml").write_text(PARAMS.replace("text_tokens: 16", "text_tokens: 99999"))
    result = run("base")
    assert result.exit_code == 2
    assert "likelihood@base: likelihood.text_tokens=99999 exceeds the backbone's window of" in result.stderr


def test_a_phase_that_was_not_trained_ends_the_stage_with_a_message(project: Path) -> None:
    result = run("phase2")
    assert result.exit_code == 2
    assert "likelihood@phase2: missing: models/phase2; run `dvc repro`" in result.stderr
