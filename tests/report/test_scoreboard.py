"""Tables from an evaluation by hand."""

from typing import Any

from breviary.report import scoreboard


def estimate(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 3}


def evaluation(scopes: tuple[str, ...] = ("paper", "talk", "overall")) -> dict[str, Any]:
    means = {"base": (0.2, 3.0, 50.0), "p1": (0.4, 2.0, 70.0), "lead3": (0.9, 9.0, 60.0)}
    names = ("rouge1", "nats", "words")
    rows = {
        model: {name: estimate(each) for name, each in zip(names, found, strict=True)} for model, found in means.items()
    }
    compared = {
        "rouge1": {"difference": 0.2, "p_holm": 0.04},
        "nats": {"difference": -1.0, "p_holm": 0.04},
        "words": {"difference": 20.0, "p_holm": 0.04},
    }
    return {
        "models": {model: dict.fromkeys(scopes, row) for model, row in rows.items()},
        "comparisons": {"minus base": {"p1": dict.fromkeys(scopes, compared)}},
        "target": {"domain": "talk"},
        "higher_is_better": {"nats": False, "rouge1": True, "words": None},
        "settings": {"statistics": {"level": 0.95}},
    }


def row(found: dict[str, Any], metric: str, group: str = "judged") -> dict[str, Any]:
    tables = scoreboard.tables(found, ["base", "p1", "lead3"])
    return next(each for each in tables[0][group] if each["metric"] == metric)


def test_the_targets_domain_comes_first_and_all_together_last() -> None:
    assert [each["domain"] for each in scoreboard.tables(evaluation(), ["base"])] == ["talk", "paper", "overall"]
    assert [each["domain"] for each in scoreboard.tables(evaluation(("talk", "overall")), ["base"])] == ["talk"]


def test_better_is_lower_where_low_is_good() -> None:
    assert row(evaluation(), "nats")["cells"]["p1"]["mark"] == "better"
    assert row(evaluation(), "rouge1")["cells"]["p1"]["mark"] == "better"
    assert row(evaluation(), "words", "described")["cells"]["p1"]["mark"] == "differs"


def test_a_fall_is_worse_and_chance_has_no_mark() -> None:
    found = evaluation()
    compared = found["comparisons"]["minus base"]["p1"]["talk"]
    compared["rouge1"] = {"difference": -0.2, "p_holm": 0.04}
    compared["nats"] = {"difference": -1.0, "p_holm": 0.06}
    assert row(found, "rouge1")["cells"]["p1"]["mark"] == "worse"
    assert row(found, "nats")["cells"]["p1"]["mark"] == ""


def test_the_best_is_a_model_and_no_baseline() -> None:
    assert row(evaluation(), "rouge1")["best"] == "p1"
    assert row(evaluation(), "nats")["best"] == "p1"
    assert row(evaluation(), "words", "described")["best"] == ""
