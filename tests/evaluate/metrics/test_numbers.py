"""Number precision counted by hand, and a model with swapped numbers that it catches."""

import math
import random
from pathlib import Path

import numpy as np
import pytest

from breviary.evaluate import statistics
from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import numbers
from breviary.evaluate.perturbations import Case, number_other

SAMPLE = Path(__file__).resolve().parents[3] / "sample" / "papers"
SOURCE = "In 2019 we asked 1,200 people; five percent refused, and one left. The third trial took 3.5 hours."


def precision(summary: str, source: str = SOURCE) -> float:
    return numbers.score([Texts(summary, "", source)])[0]["number_precision"]


@pytest.mark.parametrize(
    ("summary", "share"),
    [
        ("Of twelve hundred people asked in 2019, 5% refused.", 1),  # twelve hundred, 2019, 5
        ("Trial 3 took 3.50 hours; 1 person left.", 1),
        ("In 2018 we asked 1200 people.", 0.5),
        ("7 and 8 and 9", 0),
        ("5 %, five and the fifth; 6", 0.5),  # distinct values: 5 and 6
    ],
)
def test_the_share_of_distinct_values_in_the_source(summary, share):
    assert precision(summary) == share


@pytest.mark.parametrize("summary", ["", "No one came at first.", "People left."])
def test_a_summary_without_numbers_has_no_precision(summary):
    assert math.isnan(precision(summary))


def test_an_empty_source_supports_no_number():
    assert precision("5 people", "") == 0


def test_each_summary_is_held_against_its_own_source():
    texts = [Texts("5", "", "five"), Texts("5", "", "six"), Texts("6", "", "six")]
    assert [each["number_precision"] for each in numbers.score(texts)] == [1, 0, 1]


def test_the_metric_is_built_without_any_model():
    metric = numbers.build(numbers.Options(kind="numbers"), Given(lambda: Path(), lambda: ""))
    assert metric.score([Texts("5", "", "five")]) == [{"number_precision": 1}]
    assert set(numbers.HIGHER_IS_BETTER) == {"number_precision"}
    assert metric.settings


def test_a_model_that_swaps_numbers_is_caught():
    """Leads of the sample's papers against the same with one number taken from the next paper, paired."""
    texts = [file.read_text(encoding="utf-8").split("---", 2)[2] for file in sorted(SAMPLE.glob("*.md"))]
    honest, swapped = [], []
    for own, other in zip(texts, [*texts[1:], texts[0]], strict=True):
        lead = own.strip()[:1500]
        wrong = number_other(Case(lead, own, other, other), random.Random(len(honest)))
        if wrong is not None:
            honest.append(Texts(lead, "", own))
            swapped.append(Texts(wrong, "", own))
    first, second = (np.array([each["number_precision"] for each in numbers.score(side)]) for side in (honest, swapped))
    assert len(first) > 30
    assert (first == 1).all()  # what is copied is supported
    compared = statistics.compare(first, second, statistics.generator(0, "swap"), resamples=999, level=0.95)
    assert compared.p < 0.01
    assert compared.low is not None and compared.low > 0
