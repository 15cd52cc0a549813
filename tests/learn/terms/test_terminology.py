"""Cross-entropy in which the targets inside a term count more, at the positions that predict them."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy

from breviary.data import batches, prompts
from breviary.data.batches import Row
from breviary.errors import ConfigError
from breviary.learn import objective
from breviary.learn.forward import Step, forward
from breviary.learn.terms import terminology
from breviary.model import chat
from breviary.records import Example


def step(marked: list[bool] | None, dtype: torch.dtype = torch.float64, seed: int = 0) -> Step:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 9, generator=draw, dtype=dtype, requires_grad=True)
    targets = torch.tensor([1, 8, 0, 3, 3, 5])
    marks = None if marked is None else torch.tensor(marked)
    return Step(logits, targets, torch.tensor([0, 0, 0, 1, 1, 1]), marks)


def naive(step: Step, emphasis: float) -> float:
    assert step.marked is not None
    summed = total = 0.0
    for logits, target, marked in zip(step.logits.detach().double(), step.targets, step.marked, strict=True):
        weight = 1 + emphasis if marked else 1.0
        summed -= weight * float(torch.log(torch.exp(logits)[target] / torch.exp(logits).sum()))
        total += weight
    return summed / total


@pytest.mark.parametrize("emphasis", [0.5, 1.0, 7.0])
def test_it_is_a_weighted_mean(emphasis: float) -> None:
    made = step([False, True, True, False, False, True])
    assert float(terminology.term(made, emphasis).detach()) == pytest.approx(naive(made, emphasis), rel=1e-12)
    single = step([False, True, True, False, False, True], torch.float32)
    assert float(terminology.term(single, emphasis).detach()) == pytest.approx(naive(single, emphasis), rel=1e-6)


@pytest.mark.parametrize("marks", [[False] * 6, [True] * 6])
def test_where_no_target_or_every_target_is_marked_it_is_cross_entropy(marks: list[bool]) -> None:
    made = step(marks)
    torch.testing.assert_close(terminology.term(made, 3.0), cross_entropy(made.logits, made.targets))


def test_the_gradient_of_a_marked_target_is_larger_by_the_emphasis(make_given: Any) -> None:
    made = step([True, False, False, False, False, False])
    options = terminology.Options(emphasis=2.0, words=["art"])
    terminology.build(options, make_given())(made).backward()
    wrong = made.logits.detach().softmax(-1) - torch.nn.functional.one_hot(made.targets, 9)
    torch.testing.assert_close(made.logits.grad, torch.tensor([3.0, 1, 1, 1, 1, 1])[:, None] / 8 * wrong)


def test_beside_cross_entropy_the_sum_is_the_weighted_mean_that_its_docstring_says() -> None:
    made, a, b, emphasis = step([True, False, False, True, False, False]), 1.0, 0.5, 3.0
    assert made.marked is not None
    each = cross_entropy(made.logits, made.targets, reduction="none")
    whole = 6 + 2 * emphasis
    weights = torch.where(made.marked, a / 6 + (1 + emphasis) * b / whole, a / 6 + b / whole)
    torch.testing.assert_close(
        a * cross_entropy(made.logits, made.targets) + b * terminology.term(made, emphasis), (weights * each).sum()
    )
    assert float(weights.sum()) == pytest.approx(a + b)


def test_rows_without_marks_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"rows carry no marks; give `batches\.rows` the words"):
        terminology.term(step(None), 1.0)


@pytest.fixture(scope="module")
def rows(tiny: Any) -> list[Row]:
    """Two summaries, one of which holds a term."""
    options = prompts.Options(style="plain", max_tokens=200, max_summary_tokens=40)
    prompter = prompts.build(options, tiny.tokenizer, 4096, chat.frame)
    said = ["a party of naïve Bayes", "nothing of it, really nothing"]
    examples = [Example(text, "paper", "paper", "T", "some text", text) for text in said]
    return batches.rows(examples, prompter, ["naïve bayes", "art"])


@torch.no_grad()
def test_marks_stand_at_the_logits_that_predict_the_word(tiny: Any, rows: list[Row]) -> None:
    """S1 read the logits one place too late, which rewards saying the current token again."""
    model = tiny.adapted(double=True).eval()
    made = forward(model, batches.collate(rows, tiny.tokenizer.pad))
    assert made.marked is not None
    assert tiny.tokenizer.decode(made.targets[made.marked].tolist()) == "naïveBayes"
    shifted, unshifted, total = 0.0, 0.0, 0.0
    for row in rows:
        ids = torch.tensor([row.prompt + row.target])
        log_p = model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
        for place, (target, mark) in enumerate(zip(row.target, row.marked, strict=True), len(row.prompt)):
            weight = 1 + 4.0 * mark
            shifted -= weight * float(log_p[place - 1, target])
            unshifted -= weight * float(log_p[place, target])
            total += weight
    assert float(terminology.term(made, 4.0)) == pytest.approx(shifted / total, rel=1e-9)
    assert abs(shifted - unshifted) / total > 1e-3


def test_the_phase_marks_its_rows_with_the_words_that_the_term_names() -> None:
    plain = {"cross_entropy": {"weight": 1.0}}
    assert objective.words(plain) == []
    named = plain | {"terminology": {"words": ["Bayes", "art"]}}
    assert objective.words(named) == ["Bayes", "art"]
    objective.check(named, "train_phase1.terms")
    with pytest.raises(ConfigError, match=r"train_phase1\.terms\.terminology\.words: 'ART' repeats 'art'"):
        objective.check({"terminology": {"words": ["art", "ART"]}}, "train_phase1.terms")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "words"),
        ({"words": []}, "words"),
        ({"words": ["art"], "emphasis": 0.0}, "emphasis"),
        ({"words": ["art"], "weight": -1.0}, "weight"),
        ({"words": ["art"], "beta": 1.0}, "beta"),
    ],
)
def test_options_are_checked(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        terminology.Options.model_validate(options)
