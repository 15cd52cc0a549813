"""What people are shown of an evaluation."""

import json

import pytest

from breviary.evaluate import scores, tables
from breviary.evaluate.scores import Compared, Evaluation
from breviary.evaluate.scoring import Scored
from breviary.evaluate.statistics import Comparison, Estimate
from breviary.records import Document

TARGET = scores.Target(domain="talk", metric="rouge1", model="phase1", against="base")
DOCUMENTS = [Document("talk" if n else "paper", f"Title {n}", "Text.", f"Reference {n}.", id=f"d{n}") for n in range(8)]


@pytest.fixture
def evaluation() -> Evaluation:
    values = {"d0": 0.9, "d1": 0.5, "d2": 0.1, "d3": None, "d4": 0.4, "d5": 0.3, "d6": 0.2, "d7": 0.6}
    estimates = {
        (model, scope, metric): Estimate(mean + place / 100, mean - 0.1, None if metric == "words" else mean + 0.1, 7)
        for place, model in enumerate(("base", "phase1", "lead3"))
        for scope in ("paper", "talk", "overall")
        for metric, mean in (("rouge1", 0.123456789), ("words", 41.0))
    }
    del estimates["lead3", "talk", "words"]
    sure = Comparison(difference=0.0123456789, low=0.01, high=0.02, p=0.001, above=0.999, effect=0.5, n=7)
    unsure = Comparison(difference=0.5, low=None, high=None, p=0.5, above=1.0, effect=None, n=7)
    comparisons = {
        ("phase1", scope, metric): Compared(sure, 0.003)
        if metric == "rouge1" and scope == "talk"
        else Compared(unsure, 1.0)
        for scope in ("paper", "talk", "overall")
        for metric in ("rouge1", "words")
    }
    return Evaluation(
        summaries={
            model: {each.id: f"{model} says {each.id}" for each in DOCUMENTS} for model in ("base", "phase1", "lead3")
        },
        scored=[Scored(name, "talk", "phase1", {"rouge1": value}) for name, value in values.items()],
        estimates=estimates,
        comparisons=comparisons,
        directions={"rouge1": True, "words": None},
        settings={"statistics": {"level": 0.95}},
    )


def test_the_full_table_is_json_with_every_number_and_the_target_on_top(evaluation):
    table = json.loads(json.dumps(tables.full(evaluation, TARGET), allow_nan=False))
    assert table["models"]["phase1"]["talk"]["rouge1"] == {"mean": 0.133457, "low": 0.023457, "high": 0.223457, "n": 7}
    assert table["models"]["base"]["talk"]["words"]["high"] is None
    assert table["comparisons"]["minus base"]["phase1"]["talk"]["rouge1"]["p_holm"] == 0.003
    assert table["target"] == {
        "domain": "talk",
        "metric": "rouge1",
        "model": "phase1",
        "against": "base",
        "difference": 0.012346,
        "low": 0.01,
        "high": 0.02,
        "p": 0.001,
        "p_holm": 0.003,
        "above": 0.999,
        "effect": 0.5,
        "n": 7,
    }
    assert table["higher_is_better"] == {"rouge1": True, "words": None}
    assert table["settings"] == evaluation.settings


def test_the_brief_table_has_only_what_can_be_better_to_four_digits(evaluation):
    assert tables.brief(evaluation, "phase1") == {"paper": {"rouge1": 0.1335}, "talk": {"rouge1": 0.1335}}


def test_tracked_numbers_are_flat_and_leave_out_what_is_not_there(evaluation):
    numbers = tables.tracked(evaluation, TARGET)
    assert numbers["talk/rouge1/base"] == pytest.approx(0.123456789)
    assert numbers["target/p_holm"] == 0.003
    assert "target/low" in numbers
    without = tables.tracked(evaluation, TARGET.model_copy(update={"metric": "words"}))
    assert "target/low" not in without
    assert all(isinstance(value, float) for value in without.values())


def test_samples_go_from_the_worst_to_the_best(evaluation):
    rows = tables.samples(evaluation, DOCUMENTS, TARGET)
    assert [row["rouge1 of phase1"] for row in rows] == [0.1, 0.3, 0.4, 0.5, 0.9]  # of seven; Python rounds 4.5 to 4
    assert rows[-1] == {
        "document": "d0",
        "domain": "paper",
        "title": "Title 0",
        "rouge1 of phase1": 0.9,
        "reference": "Reference 0.",
        "base": "base says d0",
        "phase1": "phase1 says d0",
        "lead3": "lead3 says d0",
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_documents_are_each_shown_once(evaluation, count):
    few = Evaluation(**{**vars(evaluation), "scored": evaluation.scored[:count]})
    assert sorted(row["document"] for row in tables.samples(few, DOCUMENTS, TARGET)) == ["d0", "d1", "d2"][:count]


def test_the_terminal_shows_a_block_for_each_domain(evaluation):
    text = tables.terminal(evaluation, TARGET)
    assert text.split("\n\n")[1].splitlines() == [
        "talk (7)  rouge1  words",
        "--------  ------  -----",
        "base      0.123   41.0",
        "phase1    0.133*  41.0",
        "lead3     0.143      -",
    ]
    assert [block.split()[0] for block in text.split("\n\n")] == ["paper", "talk", "overall", "*"]
    assert text.splitlines()[-1] == (
        "talk rouge1, phase1 minus base: +0.0123 (95% interval +0.010 to +0.020), "
        "p 0.0010, Holm 0.0030, d_z 0.50, above in 99.9% of resamples, 7 documents"
    )


def test_one_domain_needs_no_overall_block(evaluation):
    only = {key: each for key, each in evaluation.estimates.items() if key[1] != "paper"}
    text = tables.terminal(Evaluation(**{**vars(evaluation), "estimates": only}), TARGET)
    assert [block.split()[0] for block in text.split("\n\n")] == ["talk", "*"]
