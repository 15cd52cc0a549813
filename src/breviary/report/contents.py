"""All that the report says of a run and that is the same wherever it is run again: reports/report.json.

A part whose file is not there is null, and the page says which stage or command writes it. What differs between two
equal runs (times, memory, commit) is not here; see `spent.py` and `making.py`.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from platform import python_version_tuple
from typing import Any

from breviary import artifacts, config
from breviary.data import pairs
from breviary.data.pair_report import Reject
from breviary.evaluate.scores import Options
from breviary.evaluate.scoring import BASELINES, Scored
from breviary.records import Document, Pair, Prediction
from breviary.report import curves, samples, scoreboard, spread

FORMAT = 1  # of report.json; a page is made from one of this format only
EVALUATION, SCORES = Path("data/evaluation.json"), Path("data/scores.jsonl")
DOCUMENTS, PREDICTIONS = Path("data/documents.jsonl"), Path("data/predictions")
PAIRS, REJECTS = Path("data/pairs.jsonl"), Path("data/pair_rejects.jsonl")
METRICS, CURVES, BASE = Path("metrics"), Path("metrics/curves"), Path("models/base.json")
DECISION, ABLATION = METRICS / "register.json", METRICS / "ablation.json"
BUDGET, CONSISTENCY = METRICS / "budget.json", METRICS / "consistency.json"
NEEDED = (EVALUATION, SCORES, DOCUMENTS, PAIRS, REJECTS, BASE)
COUNTS = ("download", "chunk", "mix", "mine_pairs")
SECTIONS = ("runtime", "compute", "pairs", "evaluate")
VERSIONS = ("torch", "transformers", "peft", "accelerate", "numpy", "scipy")


def named(params: config.Params) -> list[Path]:
    """What is read besides `NEEDED`: the predictions of the target's models, and those other files that are there."""
    options = params.section("evaluate", Options)
    predicted = [PREDICTIONS / f"{model}.jsonl" for model in (options.target.against, options.target.model)]
    optional = [DECISION, ABLATION, BUDGET, CONSISTENCY, *(METRICS / f"{name}.json" for name in COUNTS)]
    trained = [(CURVES / f"train_{name}.csv", METRICS / f"train_{name}.json") for name in options.models]
    optional += [file for files in trained if files[0].is_file() for file in files]
    return [*predicted, *(path for path in optional if path.is_file())]


def contents(params: config.Params) -> dict[str, Any]:
    """The whole of report.json. Raises ArtifactError for a file that is missing or damaged."""
    options = params.section("evaluate", Options)
    models = [*options.models, *BASELINES]
    evaluation = artifacts.read_json(EVALUATION)
    scored = artifacts.read_records(SCORES, Scored)
    target = evaluation["target"]
    predictions = {
        model: artifacts.read_records(PREDICTIONS / f"{model}.jsonl", Prediction)
        for model in (target["against"], target["model"])
    }
    documents = artifacts.read_records(DOCUMENTS, Document)
    return {
        "format": FORMAT,
        "decisions": decisions(_optional(DECISION) or {}),
        "target": {**target, "level": evaluation["settings"]["statistics"]["level"]},
        "models": options.models,
        "baselines": list(BASELINES),
        "tables": scoreboard.tables(evaluation, [model for model in models if model in evaluation["models"]]),
        "settings": evaluation["settings"],
        "transfer": evaluation.get("transfer", {}),
        **_training(options.models),
        "lengths": spread.lengths(scored, models),
        "budget": _optional(BUDGET),
        "pairs": _pairs(params),
        "samples": samples.samples(scored, documents, predictions, target),
        "consistency": _optional(CONSISTENCY),
        "ablation": _optional(ABLATION),
        "counts": {name: _optional(METRICS / f"{name}.json") for name in COUNTS},
        "environment": environment(params),
    }


def decisions(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the gate decided about each registered model, by its name; of one model alone too."""
    named = {"": found} if "checks" in found else found
    empty = {"model": "", "against": "", "notes": []}
    return [{"name": name, **empty, **named[name]} for name in sorted(named)]


def environment(params: config.Params) -> dict[str, Any]:
    """What the numbers depend on beside data and params."""
    values = params.plain()
    backbone = artifacts.read_json(BASE)
    weights = {name: digest for name, digest in backbone["files"].items() if name.endswith(".safetensors")}
    return {
        "backbone": {key: str(value) for key, value in backbone["options"].items() if value is not None},
        "weights": weights,
        "seed": values["runtime"]["seed"],
        "threads": values["runtime"]["threads"],
        "precision": values["compute"]["precision"],
        "quantisation": values["compute"]["quantisation"],
        "versions": {
            "python": ".".join(python_version_tuple()[:2]),
            **{name: version(name).split("+")[0] for name in VERSIONS},  # without the build: +cpu, +cu130
        },
    }


def _training(models: Sequence[str]) -> dict[str, Any]:
    """Curves of each phase, and what the phase's terms and constraints reported at its ends."""
    files = {name: path for name in models if (path := CURVES / f"train_{name}.csv").is_file()}
    measured = {name: _optional(METRICS / f"train_{name}.json") or {} for name in files}
    reports = {name: found.get("reports", {}) for name, found in measured.items()}
    return {"curves": curves.curves(files), "reports": reports}


def _pairs(params: config.Params) -> dict[str, Any]:
    options = params.section("pairs", pairs.Options)
    found, refused = artifacts.read_records(PAIRS, Pair), artifacts.read_records(REJECTS, Reject)
    return {
        "left": options.left,
        "right": options.right,
        "min_margin": options.min_margin,
        "margins": spread.margins(found, refused),
    }


def _optional(path: Path) -> Any:
    return artifacts.read_json(path) if path.is_file() else None
