"""BLEU against SacreBLEU itself, of a corpus, of documents and of sums drawn again."""

import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sacrebleu.metrics import BLEU

from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import bleu

NOTHING = Given(encoder=lambda: pytest.fail("BLEU needs no encoder"), encoder_id=lambda: "")
METRIC = bleu.build(bleu.Options(kind="bleu", tokenize="13a"), NOTHING)
PAIRS = [
    ("A penalty keeps the papers, it says.", "A penalty keeps the older papers."),
    ("The adapter learns quickly.", "The adapter learns quickly. It forgets the older papers."),
    ("Nothing of the kind (3.5%).", "Something else: 3.5% of it."),
    ("", "A summary that is empty."),
]
TEXTS = [Texts(summary, reference, "") for summary, reference in PAIRS]
SENTENCE = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat."]), max_size=10).map(" ".join)


def corpus(texts, metric=METRIC):
    assert metric.corpus is not None
    counts = metric.corpus.counts(texts)
    return float(metric.corpus.values(counts.sum(axis=0, keepdims=True))["bleu"][0])


def test_the_corpus_figure_is_sacrebleu_s():
    expected = sacrebleu.corpus_bleu(*[[pair[0] for pair in PAIRS], [[pair[1] for pair in PAIRS]]]).score
    assert corpus(TEXTS) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected < 100


def test_a_document_s_figure_is_sacrebleu_s_with_effective_order():
    for found, (summary, reference) in zip(METRIC.score(TEXTS), PAIRS, strict=True):
        assert found["bleu_sentence"] == sacrebleu.sentence_bleu(summary, [reference]).score


@given(st.lists(st.tuples(SENTENCE, SENTENCE.filter(bool)), min_size=1, max_size=5))
def test_any_corpus_agrees_with_sacrebleu(pairs):
    expected = sacrebleu.corpus_bleu([pair[0] for pair in pairs], [[pair[1] for pair in pairs]]).score
    assert corpus([Texts(*pair, "") for pair in pairs]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=4), st.integers(0, 40))
def test_any_counts_agree_with_sacrebleu(orders, said):
    correct, total = [min(pair) for pair in orders], [max(pair) for pair in orders]
    expected = BLEU.compute_bleu(list(correct), list(total), said, 12, smooth_method="exp").score
    found = bleu.values(np.array([[said, 12, *correct, *total]], dtype=float))["bleu"]
    assert found == pytest.approx(expected if said else 0, rel=1e-9, abs=1e-12)


def test_many_draws_at_once_are_as_one_by_one():
    counts = METRIC.corpus.counts(TEXTS)
    draws = np.random.default_rng(3).integers(0, len(TEXTS), (50, len(TEXTS)))
    together = METRIC.corpus.values(counts[draws].sum(axis=1))["bleu"]
    alone = [corpus([TEXTS[place] for place in draw]) for draw in draws]
    assert together == pytest.approx(alone, rel=1e-12)


def test_a_document_without_reference_adds_nothing_and_has_no_score():
    assert corpus([*TEXTS, Texts("Something more.", " … ", "")]) == corpus(TEXTS)
    assert math.isnan(METRIC.score([Texts("Something.", "", "")])[0]["bleu_sentence"])
    assert math.isnan(corpus([Texts("Something.", "", "")]))


def test_an_empty_summary_scores_0_and_costs_the_corpus_brevity():
    assert METRIC.score(TEXTS)[3]["bleu_sentence"] == 0
    assert corpus(TEXTS) < corpus(TEXTS[:3])
    assert corpus(TEXTS[3:]) == 0


def test_chinese_needs_its_tokenizer():
    chinese = bleu.build(bleu.Options(kind="bleu", tokenize="zh"), NOTHING)
    texts = [Texts("模型学习得很快。", "模型学习得非常快。", "")]
    assert corpus(texts, chinese) > corpus(texts) == 0
    assert "tok:zh" in chinese.settings["bleu"]


def test_the_signatures_are_in_the_settings():
    assert METRIC.settings["bleu"] == "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
    assert METRIC.settings["bleu_sentence"] == "nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|version:2.6.0"
    assert bleu.HIGHER_IS_BETTER == {"bleu": True, "bleu_sentence": True}
    with pytest.raises(ValidationError, match="tokenize"):
        bleu.Options.model_validate({"kind": "bleu", "tokenize": "moses"})
