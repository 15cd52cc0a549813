"""METEOR against nltk's own function and against cases computed by hand."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.meteor_score import single_meteor_score
from pydantic import ValidationError

from breviary.errors import ConfigError
from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import meteor
from breviary.evaluate.words import words

NOTHING = Given(encoder=lambda: pytest.fail("METEOR needs no encoder"), encoder_id=lambda: "")
EXACT = meteor.build(meteor.Options(kind="meteor", synonyms="none"), NOTHING)
LETTERS = st.lists(st.sampled_from(["cat", "cats", "sat", "sitting", "sits", "mat", "on", "the"]), max_size=9)


def score(summary: str, reference: str) -> float:
    (found,) = EXACT.score([Texts(summary, reference, "")])
    return found["meteor_exact_stem"]


def test_the_same_text_loses_only_the_penalty_of_its_one_chunk():
    assert score("a b c d", "A B, C D!") == pytest.approx(1 - 0.5 * (1 / 4) ** 3)


def test_a_case_computed_by_hand():
    # "the cat sat" and "the cats sat on a mat": 3 matches (one by stem) in one chunk, P = 3/3, R = 3/6
    mean = 1 * (1 / 2) / (0.9 * 1 + 0.1 * (1 / 2))
    assert score("the cat sat", "the cats sat on a mat") == pytest.approx((1 - 0.5 * (1 / 3) ** 3) * mean)


def test_words_out_of_order_cost_half():
    assert score("d c b a", "a b c d") == pytest.approx(1 - 0.5)  # four matches, four chunks


def test_recall_weighs_nine_times_as_much_as_precision():
    assert score("a b", "a b c d") < score("a b c d", "a b")


@settings(deadline=None)  # the first call imports nltk
@given(LETTERS, LETTERS)
def test_agrees_with_nltk_where_wordnet_has_no_word(said, wanted):
    if wanted:
        empty = SimpleNamespace(synsets=lambda word: [])
        assert score(" ".join(said), " ".join(wanted)) == single_meteor_score(wanted, said, wordnet=empty)


def test_empty_texts():
    assert score("", "a b") == 0
    assert math.isnan(score("a b", " … "))


def test_another_script_scores_as_english_does():
    assert score("быстрая лиса спит дома", "Быстрая лиса спит дома.") == pytest.approx(1 - 0.5 * (1 / 4) ** 3)


def test_synonyms_raise_a_score_that_has_another_name(monkeypatch):
    def synsets(word):
        return [SimpleNamespace(lemmas=lambda: [SimpleNamespace(name=lambda: "big")])] if word == "larg" else []

    thesaurus = SimpleNamespace(synsets=synsets, get_version=lambda: "3.0")  # nltk looks up the stem of "large"
    monkeypatch.setattr(meteor, "_wordnet", lambda: thesaurus)
    metric = meteor.build(meteor.Options(kind="meteor", synonyms="wordnet"), NOTHING)
    (found,) = metric.score([Texts("a large cat", "a big cat", "")])
    assert found == {"meteor": pytest.approx(1 - 0.5 * (1 / 3) ** 3)}
    assert score("a large cat", "a big cat") < 0.7
    assert (metric.settings["wordnet"], metric.settings["stages"][-1]) == ("3.0", "WordNet")


def test_wordnet_that_is_not_here_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    from nltk.corpus import wordnet

    if not hasattr(wordnet, "_LazyCorpusLoader__args"):
        pytest.skip("this process has read a WordNet already")
    with pytest.raises(ConfigError, match=r"nltk finds no WordNet(.|\n)*synonyms: none"):
        meteor.build(meteor.Options(kind="meteor", synonyms="wordnet"), NOTHING)


def test_names_and_settings():
    assert {"meteor_exact_stem", "meteor"} == meteor.HIGHER_IS_BETTER.keys()
    assert EXACT.settings["stages"] == ["exact", "Porter stem (nltk's extensions)"]
    assert EXACT.settings["measure"].startswith("meteor_exact_stem")
    assert words("It's") == ["it", "s"]
    with pytest.raises(ValidationError, match="synonyms"):
        meteor.Options.model_validate({"kind": "meteor"})
