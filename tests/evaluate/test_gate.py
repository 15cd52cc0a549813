"""The gate lets a better model pass, refuses one that forgot, and says everything that speaks against a candidate."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary.errors import ConfigError
from breviary.evaluate import gate
from breviary.evaluate.conditions import Bound, Evidence
from breviary.evaluate.dossier import Dossier
from breviary.evaluate.scoring import Scored

DIRECTIONS = {"rouge1": True, "words": None, "paper_phrase": False, "summary_nats": False}
CHOSEN = gate.Options.model_validate(
    {
        "level": 0.95,
        "target": {"domain": "talk", "metric": "rouge1"},
        "guards": [{"domain": "paper", "metric": "summary_nats", "against": "phase1", "margin": 0.1}],
        "bounds": [{"domain": "talk", "metric": "paper_phrase", "max": 0.3}],
    }
)
COUNT = 12  # documents of each domain: 2^12 sign flips


def dossier(model: str, *, rouge: float = 0.3, nats: float = 4.0, phrase: float = 0.1, **more: Any) -> Dossier:
    """A model that is this good on average; every document is a little harder than the one before it."""
    records = [
        Scored(
            f"{domain}{at:02d}",
            domain,
            model,
            {
                "rouge1": rouge + 0.01 * at + wobble * 0.002,
                "summary_nats": nats + 0.05 * at + wobble * 0.01,
                "paper_phrase": phrase,
                "words": 9.0,
            },
        )
        for domain in ("paper", "talk")
        for at in range(COUNT)
        for wobble in [(len(model) * at) % 5 - 2]
    ]
    return Dossier(model, records, {"rouge": {"stemmer": True}} | more)


def evidence(candidate: Dossier, **others: Dossier) -> Evidence:
    known = {"base": dossier("base", rouge=0.1, nats=5.0), "phase1": dossier("phase1")} | others
    return Evidence(candidate, known, "base", DIRECTIONS, seed=1, resamples=4096)


def changed(**sections: Any) -> gate.Options:
    return gate.Options.model_validate(CHOSEN.model_dump() | sections)


def test_a_model_that_improves_is_promoted() -> None:
    decision = gate.decide(CHOSEN, evidence(dossier("phase3", rouge=0.4, nats=3.9)), None)
    assert decision.promoted
    assert [check.condition for check in decision.checks] == ["target", "guard", "bound"]
    assert decision.checks[0].value == pytest.approx(0.3, abs=0.01)
    assert decision.checks[0].p == pytest.approx(2 / 4096)
    assert decision.checks[1].value == pytest.approx(0.1, abs=0.02)  # lower nats are better
    assert decision.reasons[0].startswith("passed  talk rouge1 rose: +0.2995 against base")


def test_a_model_that_forgot_papers_is_refused_with_the_reason() -> None:
    decision = gate.decide(CHOSEN, evidence(dossier("phase3", rouge=0.4, nats=4.5)), None)
    assert not decision.promoted
    assert [check.passed for check in decision.checks] == [True, False, True]
    assert decision.reasons[0].startswith("FAILED  paper summary_nats may have fallen too far: -0.5")
    assert "against phase1" in decision.reasons[0]
    assert "margin 0.1" in decision.reasons[0]


def test_all_that_speaks_against_a_model_is_said_at_once() -> None:
    decision = gate.decide(CHOSEN, evidence(dossier("phase3", rouge=0.1, nats=4.5, phrase=0.5)), None)
    assert [check.passed for check in decision.checks] == [False, False, False]
    text = "\n".join(decision.reasons)
    assert "talk rouge1 did not rise significantly" in text
    assert "talk paper_phrase is 0.5000, but has to be at most 0.3 (12 documents)" in text


def test_a_significant_fall_is_no_rise() -> None:
    decision = gate.decide(CHOSEN, evidence(dossier("phase3", rouge=0.01)), None)
    assert decision.checks[0].p is not None
    assert decision.checks[0].p < 0.05
    assert not decision.checks[0].passed


def test_a_champion_is_what_the_target_is_compared_with_and_a_guard_too() -> None:
    worse = dossier("phase3", rouge=0.4, nats=4.0)
    decision = gate.decide(CHOSEN, evidence(worse), dossier("champion", rouge=0.45, nats=3.5))
    assert decision.against == "champion"
    assert [(check.condition, check.against, check.passed) for check in decision.checks] == [
        ("target", "champion", False),
        ("guard", "phase1", True),
        ("guard", "champion", False),
        ("bound", None, True),
    ]
    assert gate.decide(CHOSEN, evidence(worse), dossier("champion", rouge=0.2, nats=4.0)).promoted


def test_a_champion_of_other_documents_or_settings_is_named_and_left_out() -> None:
    good = dossier("phase3", rouge=0.4, nats=3.9, likelihood={"summary_tokens": 9})
    other = dossier("champion", rouge=0.9, rouge_score={}, likelihood={"summary_tokens": 7})
    moved = Dossier("champion", other.records[1:], other.settings)
    decision = gate.decide(CHOSEN, evidence(good), moved)
    assert decision.promoted
    assert decision.against == "base"
    assert decision.notes == [
        "champion was scored on 23 documents, of which 23 are among the 24 of phase3: the target is compared with base",
        "champion was scored with other settings of likelihood: the target is compared with base",
    ]


def test_a_champion_that_lacks_the_metric_is_named_and_left_out() -> None:
    known = dossier("champion")
    bare = Dossier("champion", [Scored(r.document, r.domain, r.model, {"words": 1.0}) for r in known.records], {})
    notes = gate.decide(CHOSEN, evidence(dossier("phase3", rouge=0.4)), bare).notes
    assert [note.split(":")[0] for note in notes] == [
        "champion has no rouge1 of talk",
        "champion has no summary_nats of paper",
    ]


def test_one_document_is_no_ground_for_a_guard() -> None:
    def one(whole: Dossier) -> Dossier:
        kept = [each for each in whole.records if each.domain == "talk" or each.document == "paper00"]
        return Dossier(whole.model, kept, whole.settings)

    candidate = one(dossier("phase3", rouge=0.4, nats=1.0))
    known = {"phase1": one(dossier("phase1")), "base": one(dossier("base", rouge=0.1))}
    decision = gate.decide(CHOSEN, evidence(candidate, **known), None)
    assert not decision.promoted
    assert "2 documents are the least" in decision.reasons[0]


@given(st.floats(0.05, 2.0), st.floats(0.0, 1.0))
def test_a_wider_margin_never_refuses_what_a_narrower_one_lets_pass(margin: float, fall: float) -> None:
    shown = evidence(dossier("phase3", rouge=0.4, nats=4.0 + fall))
    guard = CHOSEN.guards[0].model_dump()
    narrow, wide = (
        gate.decide(changed(guards=[guard | {"margin": width}]), shown, None).promoted for width in (margin, 2 * margin)
    )
    assert wide or not narrow


def test_a_decision_is_plain_json_and_the_same_each_time() -> None:
    shown = evidence(dossier("phase3", rouge=0.4, nats=3.9))
    first, second = (json.dumps(gate.decide(CHOSEN, shown, None).as_json(), allow_nan=False) for _ in range(2))
    assert first == second
    assert json.loads(first)["decision"] == "promoted"


def test_everything_that_cannot_be_looked_at_is_listed() -> None:
    guard = {"domain": "paper", "metric": "words", "against": "phase9", "margin": 0.1}
    bounds = [
        {"domain": "talk", "metric": "number_precision", "min": 0.3},
        {"domain": "x", "metric": "rouge1", "min": 0},
    ]
    with pytest.raises(ConfigError) as raised:
        gate.decide(changed(guards=[guard], bounds=bounds), evidence(dossier("phase3")), None)
    assert str(raised.value).splitlines() == [
        "gate.guards.0.metric: 'words' is not one of those that can be better or worse "
        "(rouge1, paper_phrase, summary_nats)",
        "gate.guards.0.against: 'phase9' is not a model to compare with (known: base, phase1)",
        "gate.bounds.0.metric: no 'number_precision' in data/scores.jsonl "
        "(known: paper_phrase, rouge1, summary_nats, words)",
        "gate.bounds.1.domain: no rouge1 in domain 'x' (domains here: paper, talk, overall)",
    ]


def test_a_bound_of_which_nothing_is_known_is_not_let_pass() -> None:
    candidate = dossier("phase3")
    blank = [replace(each, scores=each.scores | {"paper_phrase": None}) for each in candidate.records]
    decision = gate.decide(CHOSEN, evidence(replace(candidate, records=blank)), None)
    check = decision.checks[-1]
    assert (check.condition, check.passed, check.value, check.documents) == ("bound", False, None, 0)
    assert check.reason == "talk paper_phrase is not known of any document"
    assert not decision.promoted


@pytest.mark.parametrize(
    ("bound", "message"),
    [({}, "a bound needs min, max or both"), ({"min": 0.5, "max": 0.1}, "min 0.5 is above max 0.1")],
)
def test_a_bound_without_a_meaning_is_refused(bound: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Bound.model_validate({"domain": "talk", "metric": "rouge1"} | bound)
