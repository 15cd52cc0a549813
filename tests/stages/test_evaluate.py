"""The stage `evaluate` on predictions written by hand: files in, files out, and the table on the terminal."""

import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from breviary import artifacts, config
from breviary.records import Document, Example, Likelihood, Prediction
from tests.projects import configure, enter

SCRIPT = Path(__file__).parents[2] / "stages" / "evaluate.py"
SECTIONS = {name: config.SECTIONS[name] for name in ("runtime", "evaluate")}
PARAMS = """
runtime: {seed: 1, threads: 1}
evaluate:
  models: [base, phase1]
  metrics: [{kind: rouge}, {kind: length}, {kind: novelty}]
  resamples: 199
  level: 0.95
  target: {domain: talk, metric: rouge1, model: phase1, against: base}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params, documents, splits and four models' predictions, two of which are asked for."""
    enter(monkeypatch, tmp_path)
    configure(monkeypatch, PARAMS, SECTIONS)
    documents = [
        Document(
            domain, f"{domain} {n}", f"Sentence {n} is about {domain}s. " * (n + 1), f"A summary about {n} {domain}s."
        )
        for domain in ("paper", "talk")
        for n in range(6)
    ]
    artifacts.write_json(Path("models/encoder.json"), {"files": {}})  # these metrics ask for no model
    artifacts.write_records(Path("data/documents.jsonl"), documents)
    artifacts.write_json(Path("data/splits.json"), {each.id: "test" for each in documents})
    for model, words in (("base", 2), ("phase1", 4), ("phase2", 3), ("phase3", 5), ("student", 4)):
        predictions = [
            Prediction(each.id, each.domain, model, " ".join(each.summary.split()[:words]), 9, words, True, False)
            for each in sorted(documents, key=lambda each: each.id)
        ]
        artifacts.write_records(Path(f"data/predictions/{model}.jsonl"), predictions)
        likelihoods = [
            Likelihood(each.id, each.domain, model, 9.0 * place - words, place, 50.0 - words, 20)
            for place, each in enumerate(sorted(documents, key=lambda each: each.id), 3)
        ]
        artifacts.write_records(Path(f"data/likelihoods/{model}.jsonl"), likelihoods)
    for phase, domain in (("phase1", "paper"), ("phase2", "talk"), ("phase3", "talk")):
        example = Example("train", domain, domain, "", "Text.", "Summary.")
        artifacts.write_records(Path(f"data/mixtures/{phase}.jsonl"), [example])
    return tmp_path


def run() -> Result:
    return CliRunner().invoke(runpy.run_path(str(SCRIPT))["main"], catch_exceptions=False)


def written(project: Path) -> dict[str, bytes]:
    files = [*project.glob("metrics/**/*.*"), project / "data/scores.jsonl"]
    return {file.relative_to(project).as_posix(): file.read_bytes() for file in files}


@pytest.mark.slow
def test_every_file_is_written_and_the_table_is_printed(project):
    stale = project / "metrics/scores/phase9.json"
    artifacts.write_json(stale, {})
    result = run()
    assert result.exit_code == 0, result.output
    files = written(project)
    models = ("base", "lead3", "oracle", "phase1")
    assert sorted(files) == [
        "data/scores.jsonl",
        "metrics/curves/transfer.csv",
        "metrics/evaluate.json",
        *(f"metrics/scores/{m}.json" for m in models),
        "metrics/transfer.json",
    ]
    brief = json.loads(files["metrics/scores/phase1.json"])
    assert {domain: list(row) for domain, row in brief.items()} == {
        domain: ["rouge1", "rouge2", "rougeL", "rougeLsum"] for domain in ("paper", "talk")
    }
    assert brief["talk"]["rouge1"] == round(2 * 4 / 9, 4)
    assert files["data/scores.jsonl"].count(b"\n") == 12 * 5
    assert json.loads(files["metrics/evaluate.json"])["target"]["difference"] > 0
    assert "talk rouge1, phase1 minus base: +0." in result.output
    taught = json.loads(files["metrics/transfer.json"])
    assert set(taught) == {"rouge1", "summary", "text"}
    assert taught["text"]["talk"] == {"base": 2.4, "phase1": 2.3, "forward": 0.1, "gain": 0.1, "forgetting": -0.1}
    assert taught["rouge1"]["paper"]["learning"] == round(2 * 4 / 9 - 2 * 2 / 7, 4)
    assert files["metrics/curves/transfer.csv"].count(b"\n") == 1 + 3 * 2 * 2
    assert "nats a token of the reference summary (low is good)" in result.output
    everything = json.loads((project / "data/evaluation.json").read_text())
    assert everything["transfer"]["summary"]["brought"] == {"paper": "phase1", "talk": "phase2"}
    assert everything["models"]["reference"]["talk"].keys().isdisjoint({"rouge1", "rougeL"})
    assert run().exit_code == 0
    assert written(project) == files


def test_a_model_without_predictions_ends_the_stage_with_a_message(project):
    (project / "data/predictions/phase1.jsonl").unlink()
    result = run()
    assert result.exit_code == 2
    assert "evaluate: missing: data/predictions/phase1.jsonl; run `dvc repro`" in result.stderr
    assert not (project / "metrics").exists()


def test_likelihoods_of_another_run_end_the_stage_with_a_message(project):
    path = project / "data/likelihoods/phase1.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    result = run()
    assert result.exit_code == 2
    assert "evaluate: phase1: no likelihood of 1 documents that another model has" in result.stderr
    assert not (project / "metrics").exists()


def test_a_model_that_no_stage_predicts_is_refused(project):
    (project / "params.yaml").write_text(PARAMS.replace("phase1", "phase9"))
    result = run()
    assert result.exit_code == 2
    assert "evaluate.models: no stage predicts 'phase9' (known: base, phase1, phase2, phase3, student)" in result.stderr
