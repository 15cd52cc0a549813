"""SummaC-ZS with a judge whose every answer is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from breviary.evaluate.measured import Given, Texts
from breviary.evaluate.metrics import nli

TINY = {"kind": "tiny"}


@dataclass
class Judge:
    """A token is a word; a pair's balance is that of the words they share, and -1 where a premise says `not`."""

    max_tokens: int = 60
    special_tokens: int = 3
    asked: list[tuple[str, str]] = field(default_factory=list)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        found, at = [], 0
        for word in text.split():
            at = text.index(word, at)
            found.append((at, at + len(word)))
            at += len(word)
        return found

    def balance(self, pairs: Sequence[tuple[str, str]], batch_size: int) -> np.ndarray:
        self.asked += pairs
        assert all(len(a.split()) + len(b.split()) + 3 <= self.max_tokens for a, b in pairs)
        return np.array([-1.0 if "not" in a.split() else _shared(a, b) for a, b in pairs])


def _shared(premise: str, hypothesis: str) -> float:
    words = hypothesis.split()
    return sum(word in premise.split() for word in words) / len(words)


def score(judge: Judge, *texts: tuple[str, str]) -> list[float]:
    return [each["nli"] for each in nli.score([Texts(said, "", source) for said, source in texts], judge, 8)]  # type: ignore[arg-type]


def test_the_mean_over_sentences_of_the_best_passage():
    source = f"The ship sails {'on ' * 30}. It is not so {'at ' * 28}. The crew is here."
    judge = Judge()
    # with its full stop the first sentence shares two words of three with a passage, the second one of three
    assert score(judge, ("The ship sails", source), ("The ship sails. Some crew waits.", source)) == [
        1.0,
        pytest.approx((2 / 3 + 1 / 3) / 2),
    ]
    assert len({premise for premise, _ in judge.asked}) == 3


def test_a_summary_that_is_contradicted_everywhere_is_below_zero():
    assert score(Judge(), ("It sails", "It does not sail.")) == [-1.0]


@pytest.mark.parametrize(("summary", "source"), [("", "It is."), ("It is.", ""), ("...", "It is."), ("", "")])
def test_nothing_follows_from_nothing(summary, source):
    assert score(Judge(), (summary, source)) == [0.0]


def test_a_pair_is_judged_once():
    judge = Judge()
    assert score(judge, *[("It is.", "It is.")] * 5) == [1.0] * 5
    assert judge.asked == [("It is.", "It is.")]


def test_long_sources_and_sentences_without_an_end_fit_the_model():
    judge = Judge()
    summary, source = (" ".join(f"{word}{n}" for n in range(count)) for word, count in (("said", 100), ("told", 500)))
    assert score(judge, (summary, source)) == [0.0]
    premises, hypotheses = {premise for premise, _ in judge.asked}, {said for _, said in judge.asked}
    assert len(judge.asked) == len(premises) * len(hypotheses) == 16 * 7
    assert sum(len(each.split()) for each in premises) == 500
    assert sum(len(each.split()) for each in hypotheses) == 100


def test_the_metric_names_its_model_and_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from breviary.model import nli as model

    (tmp_path / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(model, "fetch", lambda options: tmp_path)
    metric = nli.build(nli.Options.model_validate({"kind": "nli", "model": TINY}), Given(lambda: Path(), lambda: ""))
    assert metric.settings["model"]["kind"] == "tiny"
    assert list(metric.settings["weights"]) == ["model.safetensors"]
    assert nli.HIGHER_IS_BETTER == {"nli": True}


def test_a_branch_is_no_revision():
    model = {"kind": "hub", "name": "owner/model", "revision": "main"}
    with pytest.raises(ValidationError, match="must be written like"):
        nli.Options.model_validate({"kind": "nli", "model": model})
