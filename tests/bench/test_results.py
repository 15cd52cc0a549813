"""The figures of an ablation, from likelihoods made up so that they are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import results, tables
from bench.results import Result
from breviary.records import Likelihood

SEEDS = (17, 18, 19)
CHANCE: dict[str, Any] = {"old": "paper", "new": "talk", "resamples": 400, "level": 0.95}


def measured(model: str, paper: float, talk: float, noise: np.random.Generator | None = None) -> list[Likelihood]:
    """12 documents a domain; document n is harder by n / 10, and has 10 + n tokens."""
    found = []
    for domain, loss in (("paper", paper), ("talk", talk)):
        for number in range(12):
            value = loss + number / 10 + (0.01 * noise.standard_normal() if noise else 0.0)
            tokens = 10 + number
            found.append(Likelihood(f"{domain}{number}", domain, model, value * tokens, tokens, 3.5 * 20, 20))
    return found


def result(before: tuple[float, float], after: tuple[float, float], seed: int | None = None, **more: Any) -> Result:
    noise = None if seed is None else np.random.default_rng(seed)
    models = {"base": (4.0, 5.0), "phase1": before, "phase2": after}
    return Result({model: measured(model, *losses, noise) for model, losses in models.items()}, **more)


def grid(**arms: tuple[float, float]) -> dict[str, dict[int, Result]]:
    return {arm: {seed: result((3.0, 4.5), after, seed) for seed in SEEDS} for arm, after in arms.items()}


def test_losses_and_what_follows_from_them_are_exact_where_nothing_is_random() -> None:
    known = {"plain": {17: result((3.0, 4.5), (3.4, 4.0))}, "full": {17: result((3.0, 4.5), (3.1, 4.1))}}
    found = results.summary(known, **CHANCE)["arms"]["full"]
    value = {part: {name: each["value"] for name, each in found[part].items()} for part in ("old", "new", "text")}
    mean = 0.55  # of n / 10 over 12 documents, each weighing the same whatever its tokens
    assert value["old"] == pytest.approx(
        {
            "base": 4 + mean,
            "before": 3 + mean,
            "after": 3.1 + mean,
            "forgotten": 0.1,
            "removed": 0.75,
            "against_plain": -0.3,
        }
    )
    assert value["new"] == pytest.approx(
        {"base": 5 + mean, "before": 4.5 + mean, "after": 4.1 + mean, "gained": 0.4, "against_plain": 0.1}
    )
    assert value["text"] == pytest.approx({"base": 3.5, "after": 3.5, "change": 0, "against_plain": 0})
    assert found["old"]["removed"] == {"value": 0.75, "low": 0.75, "high": 0.75}
    assert found["old"]["after"]["high"] - found["old"]["after"]["low"] > 0.1  # documents differ


def test_intervals_hold_what_is_true_and_plain_removes_nothing_of_its_own() -> None:
    found = results.summary(grid(plain=(3.4, 4.0), full=(3.04, 4.0)), **CHANCE)["arms"]
    removed = found["full"]["old"]["removed"]
    assert removed["low"] < 0.9 < removed["high"]
    assert removed["low"] > 0.8
    assert found["plain"]["old"]["removed"] == {"value": 0, "low": 0, "high": 0}
    assert found["plain"]["new"]["against_plain"] == {"value": 0, "low": 0, "high": 0}
    assert found["full"]["seeds"] == list(SEEDS)


def test_an_arm_of_one_phase_is_compared_with_the_first_phase_of_plain() -> None:
    mixed = {
        seed: Result({"base": measured("base", 4.0, 5.0), "phase1": measured("phase1", 3.1, 4.0)}) for seed in SEEDS
    }
    plain = {seed: result((3.0, 4.5), (3.4, 4.1)) for seed in SEEDS}
    found = results.summary({"plain": plain, "mixed": mixed}, **CHANCE)["arms"]["mixed"]
    assert found["old"]["forgotten"]["value"] == pytest.approx(0.1)
    assert found["old"]["removed"]["value"] == pytest.approx(0.75)
    assert found["new"]["gained"]["value"] == pytest.approx(0.5)


def test_only_seeds_that_plain_has_too_are_compared() -> None:
    known = grid(plain=(3.4, 4.0), full=(3.04, 4.0))
    del known["plain"][18]
    assert results.summary(known, **CHANCE)["arms"]["full"]["seeds"] == [17, 19]


def test_without_plain_there_is_what_can_be_said() -> None:
    found = results.summary(grid(full=(3.04, 4.0)), **CHANCE)["arms"]["full"]
    assert "removed" not in found["old"]
    assert found["old"]["forgotten"]["value"] == pytest.approx(0.04, abs=0.02)


def test_models_on_other_documents_are_refused() -> None:
    known = grid(plain=(3.4, 4.0), full=(3.04, 4.0))
    others = {model: found[:-1] for model, found in known["full"][18].likelihoods.items()}
    known["full"][18] = Result(others)
    with pytest.raises(ValueError, match="different documents of 'talk'"):
        results.summary(known, **CHANCE)


def test_reports_costs_and_scores_are_means_over_seeds() -> None:
    extra = [
        {
            "reports": {"after": {"gap": n}},
            "cost": {"wall_seconds": 10 * n},
            "written": {
                "reference": {("talk", "passive"): {"a": 8.0}},
                "before": {("talk", "passive"): {"a": 7.0}, ("talk", "rouge1"): {"a": 1.0, "b": 9.0}},
                "after": {("talk", "passive"): {"a": 2 * n}, ("talk", "rouge1"): {"a": n}},
            },
        }
        for n in (1.0, 2.0, 6.0)
    ]
    known = {
        "full": {seed: result((3.0, 4.5), (3.1, 4.0), **more) for seed, more in zip(SEEDS, extra, strict=True)},
    }
    found = results.summary(known, **CHANCE)["arms"]["full"]
    assert found["reports"] == {"after": {"gap": 3.0}}
    assert found["cost"] == {"wall_seconds": 30.0}
    written = {
        metric: {when: each["value"] for when, each in row.items()} for metric, row in found["written"]["talk"].items()
    }
    assert written == {
        "passive": {"reference": 8.0, "before": 7.0, "after": 6.0, "change": -1.0},
        "rouge1": {"before": 1.0, "after": 3.0, "change": 2.0},  # of the document that has one each time
    }
    table = tables.markdown({**CHANCE, "arms": {"full": found}})
    assert "| `full` | talk | passive | 8.000" in table
    assert "| `full` | talk | rouge1 |  | 1.000" in table


def test_tables_name_every_arm_and_the_curve_is_the_same_each_time(tmp_path: Path) -> None:
    found = results.summary(grid(plain=(3.4, 4.0), full=(3.04, 4.0)), **CHANCE)
    text = tables.markdown(found)
    lines = [line for line in text.splitlines() if line.startswith("| `full` | 3 |")]
    assert len(lines) == 1
    assert lines[0].count("|") == text.splitlines()[2].count("|")
    assert " % [" in lines[0]
    assert "- `plain`: one phase after the other" in text
    for name in ("a.svg", "b.svg"):
        tables.curve(found, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ">full<" in (tmp_path / "a.svg").read_text()
