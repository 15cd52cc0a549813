"""The judge reads labels by name, pairs in any order and batch, and refuses what it cannot know."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from breviary.errors import ModelError
from breviary.model import nli
from tests.model import letters

LETTERS = "abcdefghijklmnopqrstuvwxyz."
ORDERS = [["contradiction", "neutral", "entailment"], ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"]]


def save(place: Path, labels: list[str]) -> Path:
    """A BERT of one random layer whose words are letters, with the same weights for the same class name."""
    more = {"id2label": dict(enumerate(labels)), "max_position_embeddings": 64, "initializer_range": 1.0}
    shape = letters.config(place, LETTERS, pair="[CLS] $A [SEP] $B:1 [SEP]:1", **more)
    torch.manual_seed(0)
    model = BertForSequenceClassification(shape)
    with torch.no_grad():
        for row, label in enumerate(labels):
            model.classifier.weight[row] = torch.linspace(-1, 1, 16) * {"e": 1, "n": 0, "c": -0.5}[label[0].lower()]
    model.save_pretrained(place)
    return place


@pytest.fixture(scope="module", params=ORDERS, ids=["mnli", "reversed"])
def judge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> nli.Judge:
    return nli.load(save(tmp_path_factory.mktemp("nli"), request.param))


PAIRS = [("a b c", "a"), ("z z z z z z", "b c"), ("q", "q"), ("m n o p q r s t", "a b c d")]


def test_the_balance_is_that_of_the_named_classes(judge: nli.Judge):
    found = judge.balance(PAIRS, batch_size=2)
    for (premise, hypothesis), value in zip(PAIRS, found, strict=True):
        with torch.no_grad():
            logits = judge.model(**judge.tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
        chance = dict(zip(map(str.lower, judge.model.config.id2label.values()), logits.softmax(-1), strict=True))
        assert value == pytest.approx(float(chance["entailment"] - chance["contradiction"]), abs=1e-5)
    assert np.ptp(found) > 0.01


def test_the_order_of_the_labels_changes_nothing(tmp_path: Path):
    first, second = (nli.load(save(tmp_path / name[0], name)) for name in ORDERS)
    assert (first.entailment, first.contradiction) == (2, 0)
    assert (second.entailment, second.contradiction) == (0, 2)
    np.testing.assert_allclose(first.balance(PAIRS, 4), second.balance(PAIRS, 4), atol=1e-6)


def test_no_pairs_have_no_balance(judge: nli.Judge):
    assert judge.balance([], 4).shape == (0,)


def test_a_pair_is_never_cut(judge: nli.Judge):
    assert judge.max_tokens == 64
    assert judge.special_tokens == 3
    assert judge.balance([("a " * 57, "a " * 4)], 1).shape == (1,)
    with pytest.raises(ModelError, match="a pair has 65 tokens, and the model reads 64"):
        judge.balance([("a " * 58, "a " * 4)], 1)


@pytest.mark.parametrize(
    "labels",
    [["LABEL_0", "LABEL_1", "LABEL_2"], ["entailment", "not_entailment"], ["entailment", "entails", "contradiction"]],
)
def test_classes_that_do_not_say_what_they_are_are_refused(labels: list[str]):
    with pytest.raises(ModelError, match=r"do not say which one is (entail|contradict)ion; choose a model"):
        nli.places_of(dict(enumerate(labels)), "model")


def test_a_folder_without_a_classifier_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="not a sequence classifier with its tokenizer"):
        nli.load(tmp_path)
