"""A model's measurements survive the disk, and say when they cannot be compared with another's."""

from pathlib import Path
from typing import Any

import pytest

from breviary.errors import ArtifactError
from breviary.evaluate import dossier
from breviary.evaluate.scoring import Scored
from breviary.records import Likelihood

EVALUATION = {"settings": {"rouge": {"stemmer": True}, "statistics": {"seed": 1}, "splits": ["test"]}}
SCORED = [
    Scored(name, domain, model, {"rouge1": value, "passive": None})
    for name, domain, value in (("b", "talk", 0.5), ("a", "paper", 0.25))
    for model in ("base", "phase1")
]
LIKELIHOODS = [Likelihood("a", "paper", "phase1", 12.0, 4, 0.0, 0), Likelihood("b", "talk", "phase1", 10.0, 2, 9.0, 3)]


def collected(**changes: Any) -> dossier.Dossier:
    parts = {"model": "phase1", "scored": SCORED, "likelihoods": LIKELIHOODS, "evaluation": EVALUATION} | changes
    return dossier.collect(**parts)


def test_scores_and_nats_a_token_stand_side_by_side() -> None:
    found = collected()
    assert [each.document for each in found.records] == ["a", "b"]
    assert found.values("overall", "summary_nats") == {"a": 3.0, "b": 5.0}
    assert found.values("paper", "text_nats") == {}
    assert found.values("talk", "passive") == {}
    assert found.means() == {
        ("paper", "rouge1"): 0.25,
        ("paper", "summary_nats"): 3.0,
        ("talk", "rouge1"): 0.5,
        ("talk", "summary_nats"): 5.0,
        ("talk", "text_nats"): 3.0,
    }
    assert found.settings == {"rouge": {"stemmer": True}, "likelihood": {"summary_tokens": 6, "text_tokens": 3}}


def test_it_comes_back_from_the_disk(tmp_path: Path) -> None:
    dossier.write(collected(), tmp_path)
    found = dossier.read(tmp_path, "champion")
    assert (found.records, found.settings) == (collected().records, collected().settings)
    assert dossier.obstacles(collected(), found) == []


def test_a_new_metric_is_no_obstacle_and_a_changed_one_is() -> None:
    settings = {"rouge": {"stemmer": False}, "bleu": {}, "splits": ["valid"]}
    other = collected(evaluation={"settings": settings})
    assert dossier.obstacles(collected(), other) == ["phase1 was scored with other settings of rouge"]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "phase9"},
        {"likelihoods": LIKELIHOODS[1:]},
        {"likelihoods": [*LIKELIHOODS, LIKELIHOODS[0]]},
        {"scored": [*SCORED, SCORED[1]]},
        {"scored": []},
    ],
)
def test_measurements_of_different_documents_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="one of each for each document; run the stages predict"):
        collected(**changes)


def test_an_empty_file_of_scores_is_refused(tmp_path: Path) -> None:
    (tmp_path / dossier.SCORES).write_text("")
    with pytest.raises(ArtifactError, match=r"scores.jsonl: no scores in it"):
        dossier.read(tmp_path, "champion")
