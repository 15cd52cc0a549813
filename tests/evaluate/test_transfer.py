"""The matrix R and what is read off it, against numbers worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breviary.evaluate import statistics, transfer
from breviary.evaluate.transfer import Measure, Transfer
from breviary.records import Document, Example

CURRICULUM = ("base", "phase1", "phase2", "phase3")
BROUGHT = {"paper": "phase1", "talk": "phase2"}
DOMAIN_OF = {"p1": "paper", "p2": "paper", "t1": "talk", "t2": "talk"}
NATS = {  # a token: low is good
    "base": {"p1": 3.2, "p2": 3.4, "t1": 4.0, "t2": 4.2},
    "phase1": {"p1": 3.0, "p2": 3.0, "t1": 3.8, "t2": 3.8},
    "phase2": {"p1": 3.1, "p2": 3.1, "t1": 3.4, "t2": 3.6},
    "phase3": {"p1": 3.1, "p2": 3.3, "t1": 3.3, "t2": 3.5},
}
CHANCE = {"seed": 1, "resamples": 199, "level": 0.95}


def measured(values=NATS, higher=False, brought=BROUGHT, domain_of=DOMAIN_OF, curriculum=CURRICULUM) -> Transfer:
    return transfer.transfer("summary", Measure(values, higher, "nats"), domain_of, brought, curriculum, **CHANCE)


def numbers(found: Transfer, domain: str) -> dict[str, float]:
    return {quantity: each.estimate.mean for quantity, each in found.effects[domain].items()}


def test_the_matrix_holds_means_in_the_measures_own_unit():
    found = measured()
    assert list(found.matrix) == ["paper", "talk"]
    assert {model: each.mean for model, each in found.matrix["paper"].items()} == pytest.approx(
        {"base": 3.3, "phase1": 3.0, "phase2": 3.1, "phase3": 3.2}
    )
    assert list(found.matrix["talk"]) == list(CURRICULUM)


def test_every_quantity_by_hand():
    found = measured()
    assert numbers(found, "paper") == pytest.approx(
        {"learning": 0.3, "plasticity": 0.3, "backward": -0.2, "gain": 0.1, "forgetting": 0.2}
    )
    assert numbers(found, "talk") == pytest.approx(
        {"learning": 0.3, "forward": 0.3, "plasticity": 0.6, "backward": 0.1, "gain": 0.7, "forgetting": -0.1}
    )
    assert found.means == pytest.approx(
        {"learning": 0.3, "forward": 0.3, "plasticity": 0.45, "backward": -0.05, "gain": 0.4, "forgetting": 0.05}
    )
    assert found.brought == BROUGHT


def test_the_two_models_behind_each_number_are_named():
    effects = measured().effects["talk"]
    assert {quantity: (each.first, each.second) for quantity, each in effects.items()} == {
        "learning": ("phase2", "phase1"),
        "forward": ("phase1", "base"),
        "plasticity": ("phase2", "base"),
        "backward": ("phase3", "phase2"),
        "gain": ("phase3", "base"),
        "forgetting": ("phase2", "phase3"),  # the best earlier one, minus the last
    }


def test_a_measure_that_is_good_high_gives_the_same_with_its_sign_turned():
    turned = {model: {name: -value for name, value in row.items()} for model, row in NATS.items()}
    for domain in ("paper", "talk"):
        assert numbers(measured(turned, higher=True), domain) == pytest.approx(numbers(measured(), domain))


def test_phases_that_change_nothing_teach_and_cost_nothing():
    found = measured(dict.fromkeys(CURRICULUM, NATS["base"]))
    for effects in found.effects.values():
        assert {each.estimate.mean for each in effects.values()} == {0.0}
        assert {(each.estimate.low, each.estimate.high) for each in effects.values()} == {(None, None)}
    assert set(found.means.values()) == {0.0}


def test_the_interval_is_that_of_the_paired_differences():
    draw = np.random.default_rng(3)
    names = [f"d{n}" for n in range(30)]
    level = draw.normal(3.0, 1.0, 30)  # documents differ far more than models do
    values = {
        model: dict(zip(names, level - 0.1 * place + draw.normal(0, 0.02, 30), strict=True))
        for place, model in enumerate(CURRICULUM)
    }
    found = measured(values, domain_of=dict.fromkeys(names, "paper"))
    estimate = found.effects["paper"]["gain"].estimate
    differences = np.array([values["base"][name] - values["phase3"][name] for name in names])
    generator = statistics.generator(1, "gain", "paper", "summary")
    assert estimate == statistics.mean(differences, generator, resamples=199, level=0.95)
    assert estimate.low is not None and estimate.high is not None
    assert 0.28 < estimate.low < 0.3 < estimate.high < 0.32
    spread = found.matrix["paper"]["base"]
    assert spread.low is not None and spread.high is not None
    assert spread.high - spread.low > 10 * (estimate.high - estimate.low)


def test_another_domain_or_model_changes_no_digit_of_the_others():
    alone = {model: {name: row[name] for name in ("t1", "t2")} for model, row in NATS.items()}
    assert measured(alone).effects["talk"] == measured().effects["talk"]


def test_a_domain_that_no_phase_brings_can_be_gained_and_forgotten():
    assert numbers(measured(brought={"paper": "phase1"}), "talk") == pytest.approx({"gain": 0.7, "forgetting": -0.1})


def test_a_domain_that_the_last_phase_brings_cannot_be_forgotten_yet():
    late = numbers(measured(brought={"paper": "phase1", "talk": "phase3"}), "talk")
    assert late == pytest.approx({"learning": 0.1, "forward": 0.6, "plasticity": 0.7, "gain": 0.7})


def test_models_that_were_not_measured_leave_out_what_needs_them():
    found = measured({model: NATS[model] for model in ("base", "phase3")})
    assert numbers(found, "talk") == pytest.approx({"gain": 0.7, "forgetting": -0.7})
    found = measured({model: NATS[model] for model in ("base", "phase1")})
    assert numbers(found, "talk") == pytest.approx({"forward": 0.3, "gain": 0.3, "forgetting": -0.3})
    assert numbers(found, "paper") == pytest.approx({"learning": 0.3, "plasticity": 0.3, "gain": 0.3})


@settings(deadline=None, max_examples=50)  # the first call imports scipy
@given(
    st.lists(st.floats(0, 5), min_size=4, max_size=4), st.sampled_from([None, *CURRICULUM[1:]]), st.sampled_from([1, 3])
)
def test_parts_add_up_whatever_the_numbers(levels, phase, size):
    values = {model: {f"d{n}": level + n for n in range(size)} for model, level in zip(CURRICULUM, levels, strict=True)}
    brought = {"paper": phase} if phase else {}
    found = numbers(measured(values, True, brought, {f"d{n}": "paper" for n in range(size)}), "paper")
    assert found["gain"] == pytest.approx(levels[-1] - levels[0])
    if phase:
        assert found["plasticity"] == pytest.approx(found["learning"] + found.get("forward", 0.0))
        assert found["gain"] == pytest.approx(found["plasticity"] + found.get("backward", 0.0))
    steps = sum(after - before for before, after in pairwise(levels))
    assert found["gain"] == pytest.approx(steps)
    if "forgetting" in found:
        assert found["forgetting"] == pytest.approx(max(levels[:-1]) - levels[-1])
        assert found["forgetting"] >= -found.get("backward", found["gain"]) - 1e-9
    assert list(found) == [quantity for quantity in transfer.QUANTITIES if quantity in found]


def example(domain: str, origin: str) -> Example:
    return Example("d", domain, origin, "", "text", "summary")


def test_a_domain_is_brought_by_the_first_phase_that_trains_on_it():
    mixtures = {
        "phase1": [example("paper", "paper")],
        "phase2": [example("talk", "pair"), example("paper", "pair"), example("news", "replay")],
        "phase3": [example("talk", "talk"), example("news", "news")],
    }
    assert transfer.introduced(mixtures) == {"paper": "phase1", "talk": "phase2", "news": "phase3"}


def test_every_measure_has_its_own_matrix():
    documents = [Document(domain, name, "Text.", id=name) for name, domain in DOMAIN_OF.items()]
    mixtures = {"phase1": [example("paper", "paper")], "phase2": [example("talk", "talk")], "phase3": []}
    two = {"summary": Measure(NATS, False, "nats"), "text": Measure(NATS, False, "nats")}
    found = transfer.transfers(two, documents, mixtures, CURRICULUM, **CHANCE)
    assert found["summary"] == measured()
    assert list(found) == ["summary", "text"]
