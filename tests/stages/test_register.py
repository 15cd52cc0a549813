"""The stage `register`: files in, a version and a decision out; without a registry nothing at all."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from breviary import artifacts, config
from breviary.evaluate.scoring import Scored
from breviary.model import adapt
from breviary.records import Likelihood
from breviary.registry import versions
from tests.projects import SUMMARISING, configure, enter

SCRIPT = Path(__file__).parents[2] / "stages" / "register.py"
DESCRIBED = {"gate": "breviary.evaluate.gate", "register": "breviary.registry.versions"}
USED = ("runtime", "compute", "prompt", "predict", "hierarchy", "budget")
SECTIONS = {name: config.SECTIONS[name] for name in USED} | DESCRIBED
PARAMS = (
    SUMMARISING
    + """
budget:
  profiles: {greedy: {beams: 1}}
  profile: greedy
  max_tokens: 24
  max_ms: null
  min_tokens: 4
  reserve: 0.1
  batch_size: 2
gate:
  level: 0.95
  target: {domain: talk, metric: rouge1}
  guards: [{domain: paper, metric: summary_nats, against: phase1, margin: 0.1}]
  bounds: []
register: {models: {breviary: phase3}}
"""
)
LEVELS = {
    "base": (0.1, 50.0),
    "phase1": (0.2, 40.0),
    "phase2": (0.3, 39.0),
    "phase3": (0.4, 39.0),
    "student": (0.3, 41.0),
}


@pytest.fixture
def project(tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stage reads, of a curriculum that went well."""
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    configure(monkeypatch, PARAMS, SECTIONS)
    artifacts.write_json(Path("models/base.json"), artifacts.read_json(tiny.record))
    for model in ("phase3", "student"):
        adapt.save(tiny.adapted(), Path("models", model), tiny.identity)
    documents = [(f"{domain}{at:02d}", domain, at) for domain in ("paper", "talk") for at in range(10)]
    scored = [
        Scored(name, domain, model, {"rouge1": rouge + at / 100})
        for name, domain, at in documents
        for model, (rouge, _) in LEVELS.items()
    ]
    artifacts.write_records(Path("data/scores.jsonl"), scored)
    for model, (_, nats) in LEVELS.items():
        found = [Likelihood(name, domain, model, nats + at, 10, 0.0, 0) for name, domain, at in documents]
        artifacts.write_records(Path(f"data/likelihoods/{model}.jsonl"), found)
    evaluation = {
        "higher_is_better": {"rouge1": True},
        "settings": {"rouge": {}, "statistics": {"resamples": 1023}},
        "target": {"against": "base"},
    }
    artifacts.write_json(Path("data/evaluation.json"), evaluation)
    return tmp_path


def run() -> Result:
    return CliRunner().invoke(runpy.run_path(str(SCRIPT))["main"], catch_exceptions=False)


@pytest.mark.slow
def test_the_model_is_registered_once_and_the_decision_is_a_file(project: Path) -> None:
    first = run()
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[0] == "breviary version 1: promoted"
    assert first.stdout.splitlines()[1].startswith("  passed  talk rouge1 rose: +0.3000 against base")
    written = (project / "metrics/register.json").read_bytes()
    decided = json.loads(written)["breviary"]
    assert (decided["decision"], decided["against"], decided["champion"]) == ("promoted", "base", None)
    assert decided["content"]["dvc.md5"].endswith(".dir")
    assert json.loads((project / "data/registered.json").read_bytes()) == {"breviary": decided["content"]}
    assert not {"version", "run", "time"} & decided.keys()
    assert run().exit_code == 0
    assert (project / "metrics/register.json").read_bytes() == written
    connection = versions.opened()
    assert [each.number for each in versions.every(connection, "breviary")] == ["1"]
    assert versions.at(connection, "models:/breviary@champion").tags["dvc.path"] == "models/phase3"


def test_a_registry_that_is_away_ends_the_stage_with_nothing_done(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = run()
    assert result.exit_code == 2
    assert (
        "register: the model registry cannot be opened: MLflow at http://127.0.0.1:9 does not answer" in result.stderr
    )
    assert "unset MLFLOW_TRACKING_URI to use the project's own store" in result.stderr
    assert not (project / "metrics").exists()
    assert not (project / "data/registered.json").exists()
    assert not (project / "runs").exists()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("breviary: phase3", "breviary: phase9", "register.models: no stage trains 'phase9' (known: phase3, student)"),
        ("against: phase1", "against: phase9", "gate.guards.0.against: 'phase9' is not a model to compare with"),
        ("metric: rouge1}", "metric: bleu}", "gate.target.metric: no 'bleu' in data/scores.jsonl (known: rouge1,"),
    ],
)
@pytest.mark.slow
def test_params_that_cannot_be_followed_are_refused(project: Path, before: str, after: str, message: str) -> None:
    (project / "params.yaml").write_text(PARAMS.replace(before, after))
    result = run()
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (project / "metrics").exists()


def test_a_model_that_was_not_evaluated_is_refused(project: Path) -> None:
    scored = artifacts.read_records(project / "data/scores.jsonl", Scored)
    artifacts.write_records(project / "data/scores.jsonl", [each for each in scored if each.model != "phase3"])
    result = run()
    assert result.exit_code == 2
    assert "register.models: 'phase3' is not among evaluate.models (base, phase1, phase2, student)" in result.stderr
