"""Scoring, estimating and comparing the predictions of several models."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from pydantic import ValidationError

from breviary import artifacts, catalogue
from breviary.errors import ArtifactError, DataError
from breviary.evaluate import measured, scores, scoring, statistics
from breviary.evaluate.metrics import rouge
from breviary.records import Document, Prediction

PLAIN = {
    "models": ["base", "phase1"],
    "metrics": [{"kind": "rouge"}, {"kind": "length"}, {"kind": "novelty"}],
    "resamples": 499,
    "level": 0.95,
    "target": {"domain": "talk", "metric": "rouge1", "model": "phase1", "against": "base"},
}
OPTIONS = scores.Options.model_validate(PLAIN)
WORDS = [f"{stem}{ending}" for stem in ("adapter", "memory", "phase", "window") for ending in ("", "board", "land")]


def documents() -> list[Document]:
    made = []
    for number in range(16):
        said = [WORDS[(number + step) % len(WORDS)] for step in range(8)]
        text = ". ".join(f"The {word} number {number} changes every {said[0]}" for word in said) + "."
        summary = f"{said[1]} and {said[2]} change {said[0]} number {number}."
        made.append(Document("talk" if number % 2 else "paper", f"Title {number}", text, summary, id=f"d{number:02}"))
    return made


def predictions(model: str, keep: int) -> list[Prediction]:
    """The first `keep` words or so of each reference, then words that stand nowhere."""
    return [
        Prediction(
            each.id,
            each.domain,
            model,
            " ".join([*each.summary.split()[: keep + place * keep % 3], "zebra", "quagga"]),
            9,
            9,
            True,
            False,
        )
        for place, each in enumerate(documents())
    ]


def no_encoder():
    raise AssertionError("these metrics need no model")


GIVEN = measured.Given(no_encoder, no_encoder)
SPLITS = {each.id: "test" for each in documents()}
PREDICTIONS = {"base": predictions("base", 2), "phase1": predictions("phase1", 5)}


def evaluate(found=None, options=OPTIONS, seed=3, texts=None) -> scores.Evaluation:
    return scores.evaluate(texts or documents(), SPLITS, PREDICTIONS if found is None else found, options, GIVEN, seed)


@pytest.fixture(scope="module")
def evaluation() -> scores.Evaluation:
    return evaluate()


def test_every_document_of_every_model_has_every_score(evaluation):
    assert list(evaluation.summaries) == ["base", "phase1", "lead3", "oracle", "reference"]
    assert len(evaluation.scored) == 16 * 5
    assert all(each.scores.keys() == evaluation.directions.keys() for each in evaluation.scored)
    first = evaluation.scored[0]
    assert (first.document, first.model, first.domain) == ("d00", "base", "paper")
    expected = rouge.score(PREDICTIONS["base"][0].summary, documents()[0].summary, "")
    assert first.scores | expected == first.scores


def test_means_are_over_the_documents_of_a_domain_and_over_all(evaluation):
    by_domain = {
        domain: [each.scores["rouge1"] for each in evaluation.scored if each.model == "base" and each.domain == domain]
        for domain in ("paper", "talk")
    }
    for domain, values in by_domain.items():
        estimate = evaluation.estimates["base", domain, "rouge1"]
        assert (estimate.mean, estimate.n) == (pytest.approx(np.mean(values)), 8)
    overall = evaluation.estimates["base", "overall", "rouge1"]
    assert (overall.mean, overall.n) == (pytest.approx(np.mean(by_domain["paper"] + by_domain["talk"])), 16)


def test_a_better_model_is_found_better_and_baselines_are_not_compared(evaluation):
    found = evaluation.comparisons["phase1", "talk", "rouge1"]
    means = [evaluation.estimates[model, "talk", "rouge1"].mean for model in ("phase1", "base")]
    assert found.comparison.difference == pytest.approx(means[0] - means[1])
    assert found.comparison.low is not None and found.comparison.low > 0
    assert found.comparison.p == 2 / 2**8
    assert found.p_holm == pytest.approx(2 / 2**8 * 2)  # of three comparisons the one over all documents is smaller
    assert {model for model, _, _ in evaluation.comparisons} == {"phase1"}


def test_holm_is_over_models_and_domains_of_one_metric(evaluation):
    for metric in ("rouge2", "words"):
        family = [each for (_, _, name), each in evaluation.comparisons.items() if name == metric]
        assert len(family) == 3
        assert [each.p_holm for each in family] == statistics.holm([each.comparison.p for each in family])


def test_baselines_stand_beside_the_models(evaluation):
    lead = evaluation.summaries["lead3"]["d00"]
    assert documents()[0].text.startswith(lead)
    assert lead.count(".") == 3
    means = {model: evaluation.estimates[model, "overall", "rouge1"].mean for model in ("lead3", "oracle")}
    assert means["oracle"] > means["lead3"] > 0


def test_the_references_are_described_and_not_judged(evaluation):
    rows = [each for each in evaluation.scored if each.model == "reference"]
    assert [each.scores["words"] for each in rows] == [len(each.summary.split()) for each in documents()]
    described = {metric for model, _, metric in evaluation.estimates if model == "reference"}
    assert described == {metric for metric, higher in evaluation.directions.items() if higher is None}
    assert all(each.scores[metric] is None for each in rows for metric in ("rouge1", "rouge2", "rougeL", "rougeLsum"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_and_another_model_or_metric_changes_no_digit(evaluation):
    assert astuple(evaluate()) == astuple(evaluation)
    smaller = scores.Options.model_validate({**PLAIN, "metrics": [{"kind": "length"}, {"kind": "rouge"}]})
    more = {"phase2": predictions("phase2", 4), **PREDICTIONS}
    other = evaluate(more, smaller)
    assert all(
        other.estimates[key] == evaluation.estimates[key]
        for key in other.estimates.keys() & evaluation.estimates.keys()
    )
    shared = other.comparisons["phase1", "talk", "rouge1"].comparison
    assert shared == evaluation.comparisons["phase1", "talk", "rouge1"].comparison
    different = evaluate(seed=4).estimates["base", "talk", "rouge1"]
    assert different.low != evaluation.estimates["base", "talk", "rouge1"].low


def test_an_identical_model_has_p_1():
    same = {"base": PREDICTIONS["base"], "phase1": PREDICTIONS["base"]}
    assert all(each.comparison.p == each.p_holm == 1 for each in evaluate(same).comparisons.values())


def test_an_empty_summary_scores_0_and_leaves_means_that_it_cannot_be_in():
    base = [replace(PREDICTIONS["base"][0], summary=""), *PREDICTIONS["base"][1:]]
    found = evaluate({"base": base, "phase1": PREDICTIONS["phase1"]})
    empty = found.scored[0].scores
    assert (empty["rouge1"], empty["words"], empty["compression"], empty["novel1"]) == (0, 0, None, None)
    assert found.estimates["base", "paper", "rouge1"].n == 8
    assert found.estimates["base", "paper", "compression"].n == 7
    assert found.comparisons["phase1", "paper", "compression"].comparison.n == 7


def test_scores_survive_the_disk(tmp_path, evaluation):
    artifacts.write_records(tmp_path / "scores.jsonl", evaluation.scored)
    assert artifacts.read_records(tmp_path / "scores.jsonl", scoring.Scored) == evaluation.scored


def test_settings_are_recorded(evaluation):
    assert evaluation.settings["rouge"]["implementation"] == "rouge_score 0.1.2"
    assert evaluation.settings["statistics"]["resamples"] == 499
    assert evaluation.settings["splits"] == ["test"]


def test_predictions_that_do_not_belong_together_are_refused():
    broken = {
        "base": [*PREDICTIONS["base"][:-1], PREDICTIONS["base"][0]],
        "phase1": [*PREDICTIONS["phase1"], replace(PREDICTIONS["phase1"][0], document="gone")],
    }
    with pytest.raises(ArtifactError) as error:
        evaluate(broken)
    assert str(error.value).splitlines() == [
        "base: two predictions for one document",
        "base: no prediction for 2 documents that another model has (d15, ...)",
        "1 predictions are of documents that do not exist (gone, ...)",
        "predictions of different runs are mixed; run the predict stages again",
    ]


def test_no_predictions_are_an_error():
    with pytest.raises(ArtifactError, match="no predictions at all"):
        evaluate({"base": [], "phase1": []})


def test_a_target_domain_without_documents_is_an_error():
    options = scores.Options.model_validate({**PLAIN, "target": {**PLAIN["target"], "domain": "news"}})
    with pytest.raises(DataError, match=r"no rouge1 in domain 'news' \(domains here: paper, talk, overall\)"):
        evaluate(options=options)


def test_a_target_without_any_reference_is_an_error():
    bare = [replace(each, summary="") if each.domain == "talk" else each for each in documents()]
    with pytest.raises(DataError, match="no rouge1 in domain 'talk'"):
        evaluate(texts=bare)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ["base"]}, "at least 2 items"),
        ({"models": ["base", "phase1", "base"]}, "named twice: base"),
        ({"metrics": [{"kind": "rouge"}, {"kind": "rouge"}]}, "named twice: rouge"),
        ({"models": ["base", "phase1", "lead3"]}, "'lead3' is always there"),
        ({"metrics": [{"kind": "rogue"}]}, "no kind 'rogue' in metrics, did you mean 'rouge'"),
        ({"metrics": []}, "at least 1 item"),
        ({"resamples": 10}, "greater than or equal to 99"),
        ({"level": 1.0}, "less than or equal to 0.999"),
        ({"target": {**PLAIN["target"], "model": "phase9"}}, "target.model: 'phase9' is not one of models"),
        ({"target": {**PLAIN["target"], "against": "phase1"}}, "both 'phase1'"),
        (
            {"target": {**PLAIN["target"], "metric": "words"}},
            "target.metric: 'words' is not one of those that can be better",
        ),
        ({"target": {**PLAIN["target"], "metric": "rougeX"}}, "rouge1, rouge2, rougeL, rougeLsum"),
    ],
)
def test_options_that_cannot_work_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        scores.Options.model_validate({**PLAIN, **change})


@pytest.mark.parametrize("kind", catalogue.kinds(scoring.METRICS))
def test_every_metric_offers_what_a_metric_offers(kind):
    metric = catalogue.resolve(scoring.METRICS, kind)
    assert metric.HIGHER_IS_BETTER
    assert callable(metric.build)
    assert metric.Options.model_fields["kind"].annotation.__args__ == (kind,)


def test_no_two_metrics_give_a_number_the_same_name():
    metrics = scoring.modules(catalogue.kinds(scoring.METRICS))
    names = [name for metric in metrics for name in metric.HIGHER_IS_BETTER]
    assert len(names) == len(set(names))


def right_words() -> measured.Metric:
    """A metric with a figure of its own: the share of all words that stand in the references."""

    def count(texts):
        said = [(set(each.summary.split()), set(each.reference.split())) for each in texts]
        return np.array([[len(mine & theirs), len(mine)] for mine, theirs in said], float)

    corpus = measured.Corpus(count, lambda totals: {"right": totals[:, 0] / totals[:, 1]})
    return measured.Metric(
        lambda texts: [{"rouge1": 0.5, "right": math.nan} for _ in texts], {"words": "split"}, corpus
    )


def test_a_corpus_figure_stands_beside_the_means(monkeypatch):
    monkeypatch.setattr(rouge, "build", lambda options, given: right_words())
    monkeypatch.setitem(rouge.HIGHER_IS_BETTER, "right", True)
    found = evaluate()
    said = {each.document: set(each.summary.split()) for each in PREDICTIONS["phase1"]}
    right = sum(len(said[each.id] & set(each.summary.split())) for each in documents())
    assert found.estimates["phase1", "overall", "right"].mean == right / sum(map(len, said.values()))
    assert found.estimates["phase1", "talk", "right"].n == 8
    compared = found.comparisons["phase1", "talk", "right"].comparison
    assert compared.difference > 0
    assert compared.p < 0.05
    assert ("reference", "talk", "right") not in found.estimates
