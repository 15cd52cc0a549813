"""Which documents are shown."""

from hypothesis import given
from hypothesis import strategies as st

from breviary.evaluate.scoring import Scored
from breviary.records import Document, Prediction
from breviary.report import samples

TEN = {
    f"{domain}{at}": (domain, score + at / 100) for domain, score in (("talk", 0.1), ("paper", 0.7)) for at in range(10)
}


def test_a_domain_that_scores_high_does_not_take_all_the_best_places() -> None:
    chosen = samples.choose(TEN, "talk")
    assert [group for group, _ in chosen] == ["best"] * 3 + ["middle"] * 4 + ["worst"] * 3
    assert {name for group, name in chosen if group == "best"} == {"talk9", "paper9", "talk8"}
    assert {name for group, name in chosen if group == "worst"} == {"talk0", "paper0", "talk1"}
    assert {name for group, name in chosen if group == "middle"} == {"talk4", "talk5", "paper4", "paper5"}


@given(st.dictionaries(st.text(max_size=3), st.tuples(st.sampled_from("ab"), st.floats(0, 1)), max_size=30))
def test_no_document_is_shown_twice_and_ten_are_where_there_are_ten(ranked: dict[str, tuple[str, float]]) -> None:
    names = [name for _, name in samples.choose(ranked, "a")]
    assert len(names) == len(set(names)) == min(10, len(ranked))


def test_a_sample_has_the_reference_and_both_models() -> None:
    document = Document("talk", "Title", "A lorry waits. It is red.", "A red lorry.", id="d")
    wrote = {
        model: [Prediction("d", "talk", model, text, 1, 1, True, False)]
        for model, text in (("base", ""), ("p1", "It is red."))
    }
    scored = [Scored("d", "talk", "p1", {"rouge1": 0.5}), Scored("d", "talk", "base", {"rouge1": None})]
    target = {"metric": "rouge1", "model": "p1", "against": "base", "domain": "talk"}
    (found,) = samples.samples(scored, [document], wrote, target)
    assert [(each["by"], each["score"]) for each in found["texts"]] == [
        ("reference", None),
        ("base", None),
        ("p1", 0.5),
    ]
    assert [len(each["sentences"]) for each in found["texts"]] == [1, 0, 1]
    assert found["texts"][2]["sentences"][0]["passage"] == "It is red."


def test_a_long_passage_is_shortened_at_a_word() -> None:
    shown = samples._shortened("word " * 300)
    assert len(shown) <= samples.LONGEST + 2
    assert shown.endswith("word …")
