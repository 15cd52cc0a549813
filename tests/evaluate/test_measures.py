"""What models are compared by, and likelihoods that do not belong together."""

from dataclasses import replace

import pytest

from breviary.errors import ArtifactError
from breviary.evaluate import measures
from breviary.evaluate.scoring import Scored
from breviary.records import Document, Likelihood

DOCUMENTS = [Document("talk", name, "Text.", "Summary.", id=name) for name in ("a", "b", "c")]


def likelihoods(model: str, extra: float) -> list[Likelihood]:
    return [
        Likelihood("a", "talk", model, 6.0 + extra, 2, 8.0 + extra, 4),
        Likelihood("b", "talk", model, 9.0 + extra, 3, 0.0, 0),
    ]


BASE, PHASE = likelihoods("base", 0.0), likelihoods("phase1", 1.0)
SCORED = [Scored(name, "talk", model, {"rouge1": 0.5}) for name in ("a", "b") for model in ("base", "phase1", "lead3")]


def found(base=BASE, phase=PHASE, scored=SCORED):
    return measures.measures({"base": base, "phase1": phase}, scored, DOCUMENTS)


def test_a_documents_value_is_its_nats_over_its_tokens():
    made = found()
    assert made["summary"].values == {"base": {"a": 3.0, "b": 3.0}, "phase1": {"a": 3.5, "b": pytest.approx(10 / 3)}}
    assert made["text"].values == {"base": {"a": 2.0}, "phase1": {"a": 2.25}}
    assert not made["summary"].higher_is_better and not made["text"].higher_is_better


def test_rouge_is_of_the_models_that_have_likelihoods():
    written = found()["rouge1"]
    assert written.values == {"base": {"a": 0.5, "b": 0.5}, "phase1": {"a": 0.5, "b": 0.5}}
    assert written.higher_is_better


def test_what_was_not_measured_is_left_out():
    bare = [replace(each, text_nats=0.0, text_tokens=0) for each in BASE]
    others = [Scored("a", "talk", "base", {"words": 3.0})]
    assert list(found(bare, [replace(each, model="phase1") for each in bare], others)) == ["summary"]
    none = [Scored("a", "talk", model, {"rouge1": None}) for model in ("base", "phase1")]
    assert "rouge1" not in found(scored=none)


@pytest.mark.parametrize(
    ("base", "phase", "said"),
    [
        ([], [], "no likelihoods at all; delete data/likelihoods"),
        (BASE, [], r"phase1: no likelihood of 2 documents that another model has \(a, ...\)"),
        (BASE[:1], PHASE, r"base: no likelihood of 1 documents that another model has \(b, ...\)"),
        ([*BASE, BASE[0]], PHASE, "base: two likelihoods of one document"),
        (BASE, BASE, "phase1: its likelihoods say that they are of base"),
        (
            BASE,
            [replace(PHASE[0], summary_tokens=5), PHASE[1]],
            r"1 documents have another number of tokens.* \(a, ...\)",
        ),
        (
            [replace(BASE[0], document="z"), BASE[1]],
            [replace(PHASE[0], document="z"), PHASE[1]],
            r"1 likelihoods are of documents that do not exist \(z, ...\)",
        ),
    ],
)
def test_likelihoods_that_do_not_belong_together_are_refused(base, phase, said):
    with pytest.raises(ArtifactError, match=rf"^{said}\n.*run the likelihood stages again$"):
        found(base, phase)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ArtifactError) as error:
        found([*BASE, BASE[0]], [replace(PHASE[0], text_tokens=9)])
    assert len(str(error.value).splitlines()) == 4
