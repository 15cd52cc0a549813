"""LEAD-3 and the extractive oracle."""

from itertools import combinations

import pytest

from breviary.evaluate.baselines import lead, oracle
from breviary.evaluate.metrics import rouge

TEXT = """Dr. Smith opened the session. Coffee was served at nine.
The adapter forgets older papers. Nobody had slept!

A penalty keeps the older papers in memory. Lunch followed."""


def test_lead_is_the_first_three_sentences_on_one_line():
    assert lead(TEXT) == "Dr. Smith opened the session. Coffee was served at nine. The adapter forgets older papers."


@pytest.mark.parametrize("text", ["", "Only one sentence."])
def test_lead_of_a_short_text_is_the_text(text):
    assert lead(text) == text


def test_the_oracle_takes_what_the_reference_says_in_document_order():
    chosen = oracle(TEXT, "A penalty keeps papers in memory, since the adapter forgets.")
    assert chosen == "The adapter forgets older papers. A penalty keeps the older papers in memory."


def test_the_oracle_of_a_verbatim_reference_is_that_reference():
    assert oracle(TEXT, "Nobody had slept! Lunch followed.") == "Nobody had slept! Lunch followed."


@pytest.mark.parametrize("reference", ["", "Entirely unrelated wording."])
def test_the_oracle_takes_nothing_where_nothing_is_shared(reference):
    assert oracle(TEXT, reference) == ""


def test_its_first_sentence_is_the_best_single_one_and_it_beats_it():
    reference = "Older papers stay in memory because a penalty keeps them after coffee."

    def worth(summary: str) -> float:
        measured = rouge.score(summary, reference, TEXT)
        return measured["rouge1"] + measured["rouge2"]

    singles = [lead(TEXT, end).removeprefix(lead(TEXT, end - 1)).strip() for end in range(1, 7)]
    best = max(worth(" ".join(some)) for size in (1, 2) for some in combinations(singles, size))
    assert worth(oracle(TEXT, reference)) >= best
