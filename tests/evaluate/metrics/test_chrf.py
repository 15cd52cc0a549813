"""chrF against SacreBLEU itself, of a corpus, of documents and of sums drawn again."""

import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import chrf

NOTHING = Given(encoder=lambda: pytest.fail("chrF needs no encoder"), encoder_id=lambda: "")
METRIC = chrf.build(chrf.Options(kind="chrf"), NOTHING)
PAIRS = [
    ("A penalty keeps the papers.", "A penalty keeps the older papers."),
    ("Быстрая лиса бежит.", "Быстрая лиса спит дома."),
    ("Yes", "No way."),
    ("", "A summary that is empty."),
]
TEXTS = [Texts(summary, reference, "") for summary, reference in PAIRS]
SENTENCE = st.text("ab c", max_size=20)


def corpus(texts):
    assert METRIC.corpus is not None
    counts = METRIC.corpus.counts(texts)
    return float(METRIC.corpus.values(counts.sum(axis=0, keepdims=True))["chrf"][0])


def test_the_corpus_figure_is_sacrebleu_s():
    expected = sacrebleu.corpus_chrf([pair[0] for pair in PAIRS], [[pair[1] for pair in PAIRS]]).score
    assert corpus(TEXTS) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected < 100


def test_a_document_s_figure_is_sacrebleu_s():
    for found, (summary, reference) in zip(METRIC.score(TEXTS), PAIRS, strict=True):
        expected = sacrebleu.sentence_chrf(summary, [reference]).score
        assert found["chrf_sentence"] == pytest.approx(expected, rel=1e-12)


@given(st.lists(st.tuples(SENTENCE, SENTENCE.filter(str.strip)), min_size=1, max_size=5))
def test_any_corpus_agrees_with_sacrebleu(pairs):
    expected = sacrebleu.corpus_chrf([pair[0] for pair in pairs], [[pair[1] for pair in pairs]]).score
    assert corpus([Texts(*pair, "") for pair in pairs]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_many_draws_at_once_are_as_one_by_one():
    counts = METRIC.corpus.counts(TEXTS)
    draws = np.random.default_rng(3).integers(0, len(TEXTS), (50, len(TEXTS)))
    together = METRIC.corpus.values(counts[draws].sum(axis=1))["chrf"]
    assert together == pytest.approx([corpus([TEXTS[place] for place in draw]) for draw in draws], rel=1e-12)


def test_two_letters_counted_by_hand():
    # "ab" and "abab": 1-grams 2 of 2 and 2 of 4, 2-grams 1 of 1 and 1 of 3; P = 1, R = (1/2 + 1/3) / 2 = 5/12
    assert METRIC.score([Texts("ab", "abab", "")])[0]["chrf_sentence"] == pytest.approx(500 * (5 / 12) / (4 + 5 / 12))


def test_empty_texts():
    assert METRIC.score(TEXTS)[3]["chrf_sentence"] == 0
    assert math.isnan(METRIC.score([Texts("Something.", " … ", "")])[0]["chrf_sentence"])
    assert corpus([*TEXTS, Texts("Something more.", "", "")]) == corpus(TEXTS)
    assert math.isnan(corpus([Texts("Something.", "", "")]))


def test_the_signature_is_in_the_settings():
    assert METRIC.settings["signature"] == "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"
    assert chrf.HIGHER_IS_BETTER == {"chrf": True, "chrf_sentence": True}
