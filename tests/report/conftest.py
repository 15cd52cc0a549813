"""A small report.json by hand, with every part in it, and a page of it."""

from typing import Any

import pytest

from breviary.report import contents, page
from breviary.report.making import Made
from breviary.report.spent import Spent

HOSTILE = '<script>document.title = "run"</script><img src=x onerror="document.title=1"> & "quoted"'
MODELS, BASELINES = ["base", "phase1", "phase2"], ["lead3", "oracle", "reference"]


def cell(mean: float, mark: str = "") -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 4, "mark": mark}


def board(domain: str) -> dict[str, Any]:
    cells = {model: cell(0.1 * at) for at, model in enumerate([*MODELS, "lead3", "oracle"], 1)}
    cells["phase2"]["mark"] = "better"
    judged = {"metric": "rouge1", "higher_is_better": True, "cells": cells, "best": "phase2"}
    described = {"metric": "words", "higher_is_better": None, "cells": {"base": cell(90.0, "differs")}, "best": ""}
    return {"domain": domain, "documents": 4, "judged": [judged], "described": [described]}


def transfer() -> dict[str, Any]:
    column = {model: cell(5.0 - at) for at, model in enumerate(MODELS)}
    effect = {"mean": 0.4, "low": -0.1, "high": 0.7, "n": 4, "first": "phase1", "second": "base"}
    return {
        "unit": "nats a token",
        "higher_is_better": False,
        "brought": {"talk": "phase1"},
        "matrix": {"talk": column},
        "effects": {"talk": {"learning": effect}},
        "mean": {"learning": 0.4},
    }


def check(passed: bool) -> dict[str, Any]:
    told = {"condition": "guard", "against": "phase1", "p": None, "documents": 4, "limit": "lower bound of -0.02"}
    measured = {"domain": "paper", "metric": "rouge1", "value": -0.03, "low": -0.05, "high": None}
    return told | measured | {"passed": passed, "reason": "paper rouge1 " + ("was kept" if passed else "fell")}


def sample(group: str) -> dict[str, Any]:
    found = {"sentence": HOSTILE, "passage": f"Passage: {HOSTILE}", "place": 3, "share": 0.62}
    texts = [{"by": by, "score": 0.2, "sentences": [found, found]} for by in ("reference", "base", "phase2")]
    return {"document": "d1", "domain": "talk", "title": HOSTILE, "group": group, "texts": texts}


@pytest.fixture
def report() -> dict[str, Any]:
    return {
        "format": contents.FORMAT,
        "decisions": contents.decisions(
            {"decision": "refused", "model": "phase2", "against": "base", "checks": [check(True), check(False)]}
        ),
        "target": {
            **{"domain": "talk", "metric": "rouge1", "model": "phase2", "against": "base", "level": 0.95, "n": 4},
            **{"difference": 0.147, "low": 0.08, "high": 0.2, "p": 0.004, "p_holm": 0.02, "effect": 1.4, "above": 1.0},
        },
        "models": MODELS,
        "baselines": BASELINES,
        "tables": [board("talk"), board("paper"), board("overall")],
        "settings": {"rouge": {"measure": "F1"}, "splits": ["test"]},
        "transfer": {"summary": transfer()},
        "curves": [
            {
                "phase": "phase1",
                "steps": 2,
                "curves": {"loss/cross_entropy": [[1, 4.0], [2, 3.5]], "valid/talk": [[0, 5]]},
            },
            {"phase": "phase2", "steps": 1, "curves": {"loss/cross_entropy": [[1, 3.4]], "loss/ewc": [[1, 0.2]]}},
        ],
        "reports": {"phase1": {}, "phase2": {"before": {}, "after": {"ewc/distance": 0.001}}},
        "lengths": {"talk": [{"model": "base", "n": 2, "quantiles": [1, 2, 3, 4, 5], "values": [1, 5]}]},
        "budget": {
            "arms": [
                {"profile": "fast", "max_tokens": 32, "max_ms": None, "refused": 0.0, "rougeL": 0.1234, "tokens": 28.6}
                | {"late": 0.0, "long": 0.25, "p50_ms": 3008.0, "p95_ms": 3566.0},
                {"profile": "quality", "max_tokens": 144, "max_ms": 2000, "refused": 1.0, "rougeL": None},
            ]
        },
        "pairs": {
            **{"left": "paper", "right": "talk", "min_margin": 1.1},
            "margins": {"width": 0.05, "low": 1.0, "counts": {"not mutual": [3, 1, 0], "mined": [0, 0, 2]}},
        },
        "samples": [sample(group) for group in ("best", "middle", "worst")],
        "consistency": {
            "consistency": {"lsa": {"base": {"pairs": 5, "matched": None, "control": None, "difference": None}}},
            "settings": {"lsa": "of the training texts"},
        },
        "ablation": {
            **{"old": "paper", "new": "talk"},
            "arms": {"plain": {"purpose": "nothing", "seeds": [1], "old": {}, "new": {}, "text": {}}},
        },
        "counts": {
            "download": {"domains": {"talk": {"documents": 4, "mean_words": 900.5, "mean_reference_words": 50.0}}},
            "chunk": {"documents": {"talk": {"train": 2, "valid": 1, "test": 1}}, "chunks": {"talk": {"train": 9}}},
            "mix": {"lineage": [{"phase": "phase1", "source": "talk", "count": 2, "distinct": 2, "share": 1.0}]},
            "mine_pairs": {"pairs": 2, "rejected": {"not mutual": 4}},
        },
        "environment": {
            **{"backbone": {"kind": "tiny"}, "weights": {"model.safetensors": "ab" * 32}, "seed": 17, "threads": 2},
            **{"precision": "fp32", "quantisation": "none", "versions": {"python": "3.11", "torch": "2.13.0"}},
        },
    }


@pytest.fixture
def known() -> page.Around:
    made = Made("chunk", {"data/documents.jsonl": "1" * 32}, {"data/chunks.jsonl": "2" * 32}, 12)
    return page.Around([Spent("chunk", 5.0, 120.0), Spent("mix", None, None)], "", [made], "c" * 40, True, "2026-01-02")


@pytest.fixture
def bare(report: dict[str, Any]) -> dict[str, Any]:
    """The same report of a run that has only what `evaluate` needs."""
    absent = {"decisions": [], "budget": None, "consistency": None, "ablation": None, "transfer": {}, "lengths": {}}
    nothing = {"curves": [], "reports": {}, "samples": [], "counts": dict.fromkeys(contents.COUNTS)}
    return report | absent | nothing
