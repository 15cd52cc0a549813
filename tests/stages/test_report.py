"""The stage `report` on files written by hand: the same bytes each time, and a page that can be made again."""

import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from breviary import artifacts, config
from breviary.cli.report import report
from breviary.data.pair_report import Reject
from breviary.evaluate.scoring import Scored
from breviary.records import Document, Pair, Prediction
from breviary.report import contents
from tests.projects import configure, enter

SCRIPT = Path(__file__).parents[2] / "stages" / "report.py"
SECTIONS = {name: config.SECTIONS[name] for name in contents.SECTIONS}
MODELS = ("base", "phase1")
PARAMS = """
runtime: {seed: 1, threads: 1}
compute: {precision: fp32, quantisation: none}
pairs:
  {left: paper, right: talk, per_document: 1, neighbours: 4, min_margin: 1.1, min_cosine: 0.1, lexical_share: 0.5,
   near_duplicate: 0.9, truth: null}
evaluate:
  models: [base, phase1]
  metrics: [{kind: rouge}, {kind: length}]
  resamples: 199
  level: 0.95
  target: {domain: talk, metric: rouge1, model: phase1, against: base}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter(monkeypatch, tmp_path)
    configure(monkeypatch, PARAMS, SECTIONS)
    documents = [Document("talk", f"Talk {n}", "A lorry waits. It is red.", "A red lorry.") for n in range(4)]
    artifacts.write_records(contents.DOCUMENTS, documents)
    for model in MODELS:
        wrote = [Prediction(each.id, "talk", model, "A red lorry.", 9, 3, True, False) for each in documents]
        artifacts.write_records(contents.PREDICTIONS / f"{model}.jsonl", wrote)
    scores = {"rouge1": 0.5, "words": 3.0}
    artifacts.write_records(contents.SCORES, [Scored(each.id, "talk", m, scores) for each in documents for m in MODELS])
    artifacts.write_records(contents.PAIRS, [Pair("a", "b", "c", "d", "train", 0.2, 1.2)])
    artifacts.write_records(contents.REJECTS, [Reject("train", "not mutual", "a", "e", 0.1, 0.9)])
    artifacts.write_json(
        contents.BASE, {"options": {"kind": "tiny"}, "files": {"model.safetensors": "00"}, "config": {}}
    )
    mean = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 4}
    difference = {"difference": 0.0, "low": None, "high": None, "p": 1.0, "p_holm": 1.0, "effect": None, "above": 0.0}
    evaluation = {
        "models": {model: {"talk": {"rouge1": mean, "words": mean}} for model in MODELS},
        "comparisons": {"minus base": {"phase1": {"talk": {"rouge1": difference | {"n": 4}}}}},
        "target": {"domain": "talk", "metric": "rouge1", "model": "phase1", "against": "base", "n": 4} | difference,
        "higher_is_better": {"rouge1": True, "words": None},
        "settings": {"statistics": {"level": 0.95}, "splits": ["test"]},
    }
    artifacts.write_json(contents.EVALUATION, evaluation)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setattr("sys.argv", ["stages/report.py"])
    return CliRunner().invoke(runpy.run_path(str(SCRIPT))["main"], [])


def test_report_json_has_the_same_bytes_each_time_and_nothing_of_this_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch).exit_code == 0
    first = Path("reports/report.json").read_bytes()
    assert run(monkeypatch).exit_code == 0
    assert Path("reports/report.json").read_bytes() == first
    assert str(project).encode() not in first
    found = json.loads(first)
    assert len(found["samples"]) == 4
    assert found["ablation"] is None


def test_the_command_makes_the_page_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch).exit_code == 0
    page = Path("reports/index.html")
    page.unlink()
    done = CliRunner().invoke(report, [])
    assert (done.exit_code, done.output) == (0, "reports/index.html\n")
    assert "phase1" in page.read_text()


def test_a_missing_file_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents.SCORES.unlink()
    done = run(monkeypatch)
    assert done.exit_code == 2
    assert "report: missing: data/scores.jsonl; run `dvc repro`" in done.output


def test_what_is_there_besides_is_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents.CURVES.mkdir(parents=True)
    (contents.CURVES / "train_phase1.csv").write_text("step,loss/cross_entropy\n1,2.5\n")
    artifacts.write_json(contents.METRICS / "train_phase1.json", {"reports": {"after": {"ewc/distance": 0.1}}})
    check = {"domain": "talk", "metric": "rouge1", "value": 0.1, "low": 0.0, "high": 0.2, "limit": "above 0"}
    told = {"passed": True, "reason": "it rose", "condition": "target", "against": "base"}
    decision = {"decision": "promoted", "against": "base", "checks": [check | told], "notes": []}
    artifacts.write_json(contents.DECISION, {"breviary": decision})
    assert run(monkeypatch).exit_code == 0
    text = Path("reports/index.html").read_text()
    assert [words for words in ("The gate has promoted it.", "it rose", "ewc/distance") if words not in text] == []
    assert '"phase": "phase1"' in Path("reports/report.json").read_text()


def test_a_part_that_is_not_there_is_null(project: Path) -> None:
    found = contents.contents(config.read(Path("params.yaml")))
    assert [name for name in ("budget", "consistency", "ablation") if found[name] is not None] == []
    assert found["decisions"] == []
