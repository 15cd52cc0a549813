"""ROUGE against the reference implementation and against counts made by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rouge_score.rouge_scorer import RougeScorer

from breviary.evaluate.metrics import rouge

REFERENCE = "The adapter learns quickly. It forgets the older papers. A penalty keeps them."
PREDICTION = "A penalty keeps the papers. The adapters are learning quickly."
SENTENCE = st.lists(
    st.sampled_from(["the", "cat", "cats", "sat", "on", "mats", "running", "runs", "quickly", "3", "B4"]),
    min_size=1,
    max_size=8,
)
TEXT = st.lists(SENTENCE, min_size=1, max_size=4).map(lambda each: [" ".join(sentence) + "." for sentence in each])


def test_agrees_with_rouge_score_on_sentences_put_on_lines():
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    lines = [text.replace(". ", ".\n") for text in (REFERENCE, PREDICTION)]
    expected = {name: value.fmeasure for name, value in scorer.score(*lines).items()}
    assert rouge.score(PREDICTION, REFERENCE, "") == expected
    assert expected["rougeLsum"] > expected["rougeL"]


@pytest.mark.slow
@given(TEXT, TEXT)
def test_agrees_with_rouge_score_on_ascii_text(prediction, reference):
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    texts = [" ".join(reference), " ".join(prediction)]
    measured = rouge.score(texts[1], texts[0], "")
    assert {name: value.fmeasure for name, value in scorer.score(*texts).items()}.items() <= measured.items()


def test_counts_made_by_hand():
    # shared: the, cat, sat (P 3/4, R 3/6); bigrams: "the cat", "cat sat" (P 2/3, R 2/5); longest: the cat sat
    measured = rouge.score("The cat sat down.", "The cat sat on the mat.", "")
    assert measured["rouge1"] == pytest.approx(2 * 3 / (4 + 6))
    assert measured["rouge2"] == pytest.approx(2 * 2 / (3 + 5))
    assert measured["rougeL"] == measured["rougeLsum"] == pytest.approx(0.6)


def test_words_are_stemmed():
    assert rouge.score("adapters learned", "adapter learning", "")["rouge2"] == 1


@pytest.mark.parametrize("text", ["Быстрая лиса перепрыгнула.", "γρήγορη αλεπού", "模型学习得很快。", "หมาจิ้งจอก"])
def test_a_text_beyond_ascii_scores_1_against_itself(text):
    assert RougeScorer(["rouge1"], use_stemmer=True).score(text, text)["rouge1"].fmeasure == 0  # what is repaired here
    assert rouge.score(text, text, "") == dict.fromkeys(rouge.HIGHER_IS_BETTER, 1)


def test_cyrillic_that_differs_scores_between():
    assert rouge.score("Быстрая лиса спит.", "Быстрая лиса бежит.", "")["rouge1"] == pytest.approx(2 / 3)


def test_an_empty_summary_scores_0_and_an_empty_reference_has_no_score():
    assert rouge.score("", REFERENCE, "") == dict.fromkeys(rouge.HIGHER_IS_BETTER, 0)
    assert all(math.isnan(value) for value in rouge.score(PREDICTION, " … ", "").values())


def test_the_settings_name_the_implementation():
    assert rouge.SETTINGS["implementation"] == "rouge_score 0.1.2"
    assert rouge.Options(kind="rouge").kind == "rouge"
    with pytest.raises(ValidationError, match="unknown key"):
        rouge.Options.model_validate({"kind": "rouge", "stemmer": False})
