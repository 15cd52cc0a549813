"""Rectangles in which every label stands where its logit will be, and steps that use every row once an epoch."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from breviary.data import batches, prompts
from breviary.data.batches import IGNORED, Row, Taught
from breviary.errors import DataError
from breviary.model import chat
from breviary.records import Example

IDS = st.lists(st.integers(0, 256), min_size=1, max_size=12)
CONTENT = st.lists(st.tuples(IDS, IDS), min_size=1, max_size=9)


def named(content: list[tuple[list[int], list[int]]]) -> list[Row]:
    return [Row(f"e{index}", prompt, target) for index, (prompt, target) in enumerate(content)]


def example(text: str, summary: str, title: str = "T") -> Example:
    return Example(text[:4] + summary[:4], "paper", "paper", title, text, summary)


def test_prompts_end_and_labels_begin_in_one_column() -> None:
    batch = batches.collate([Row("a", [1, 2], [3, 4, 5]), Row("b", [6, 7, 8, 9], [10])], pad=0)
    assert batch.input_ids.tolist() == [[0, 0, 1, 2, 3, 4], [6, 7, 8, 9, 0, 0]]
    assert batch.mask.int().tolist() == [[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]
    assert batch.targets.tolist() == [[3, 4, 5], [10, IGNORED, IGNORED]]
    assert (batch.examples, batch.target_tokens) == (("a", "b"), 4)


@given(CONTENT)
def test_every_label_is_the_token_after_its_column(content: list[tuple[list[int], list[int]]]) -> None:
    rows = named(content)
    batch = batches.collate(rows, pad=999)
    first = batch.input_ids.shape[1] - batch.targets.shape[1]
    for index, row in enumerate(rows):
        text = row.prompt + row.target
        assert batch.input_ids[index][batch.mask[index]].tolist() == text[:-1]
        assert int(batch.mask[index].sum()) == len(row)
        for offset, label in enumerate(row.target):
            column = first + offset
            seen = batch.input_ids[index, : column + 1][batch.mask[index, : column + 1]].tolist()
            assert [*seen, label] == text[: len(seen) + 1]
        assert (batch.targets[index, len(row.target) :] == IGNORED).all()
    assert batch.target_tokens == sum(len(row.target) for row in rows)


def test_the_end_is_learnt_where_it_is_also_the_padding() -> None:
    batch = batches.collate([Row("a", [1], [2, 7]), Row("b", [1], [7])], pad=7)
    assert batch.targets.tolist() == [[2, 7], [7, IGNORED]]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 8), st.integers(0, 2**31))
def test_every_row_comes_once_an_epoch(count: int, epochs: int, size: int, seed: int) -> None:
    rows = [Row(str(index), [1], [2]) for index in range(count)]
    plan = batches.steps(rows, epochs=epochs, batch=size, seed=seed)
    assert plan == batches.steps(rows, epochs=epochs, batch=size, seed=seed)
    each = -(-count // size)
    assert len(plan) == epochs * each
    for epoch in range(epochs):
        steps = plan[epoch * each : (epoch + 1) * each]
        assert Counter(row.example for step in steps for row in step) == Counter(str(index) for index in range(count))
        assert [len(step) for step in steps[:-1]] == [size] * (each - 1)
        assert len(steps[-1]) == (count - 1) % size + 1


def test_epochs_and_seeds_shuffle_differently() -> None:
    rows = [Row(str(index), [1], [2]) for index in range(20)]
    first, second = batches.steps(rows, epochs=2, batch=20, seed=1)
    assert first != second and first != batches.steps(rows, epochs=1, batch=20, seed=2)[0]


@given(CONTENT, st.integers(1, 5))
def test_micro_batches_cover_the_step_in_order_of_length(content: list[tuple[list[int], list[int]]], size: int) -> None:
    rows = named(content)
    made = list(batches.micro_batches(rows, size, pad=0))
    lengths = {row.example: len(row) for row in rows}
    order = [name for batch in made for name in batch.examples]
    assert sorted(order) == sorted(lengths)
    assert [lengths[name] for name in order] == sorted(lengths.values())
    assert all(len(batch.examples) == size for batch in made[:-1])
    assert sum(batch.target_tokens for batch in made) == sum(len(row.target) for row in rows)
    again = [batch.examples for batch in batches.micro_batches(rows[::-1], size, pad=0)]
    assert again == [batch.examples for batch in made]


def test_all_examples_that_do_not_fit_are_named(tiny: Any) -> None:
    options = prompts.Options(style="plain", max_tokens=160, max_summary_tokens=10)
    prompter = prompts.build(options, tiny.tokenizer, 4096, chat.frame)
    good, long, empty = example("text", "short"), example("text", "far too long"), example("  ", "short")
    with pytest.raises(DataError) as refused:
        batches.rows([good, long, empty], prompter)
    lines = str(refused.value).split("\n")
    assert lines[0].startswith(f"example {long.id} (document {long.document}, 'T'): reference summary of 14 tokens")
    assert lines[1].startswith(f"example {empty.id}") and "without a single token" in lines[1]
    assert (
        lines[2].startswith("for a long summary raise prompt.max_summary_tokens")
        and "without a token" in lines[2]
        and len(lines) == 3
    )
    with pytest.raises(DataError, match=r"\.\.\. and 2 more"):
        batches.rows([long] * 12, prompter)
    (row,) = batches.rows([good], prompter)
    assert row == Row(good.id, prompter.prompt("text").ids, prompter.target("short"))


def test_nothing_to_learn_from_is_an_error(tiny: Any) -> None:
    options = prompts.Options(style="plain", max_tokens=160, max_summary_tokens=10)
    with pytest.raises(DataError, match="not one example to learn from"):
        batches.rows([], prompts.build(options, tiny.tokenizer, 4096, chat.frame))


@pytest.mark.parametrize("style", ["plain", "chat"])
def test_targets_inside_a_term_are_marked_and_padding_is_not(style: str, tiny: Any) -> None:
    options = prompts.Options(style="plain", max_tokens=200, max_summary_tokens=40)
    prompter = prompts.build(options, tiny.tokenizer, 4096, chat.frame)
    if style == "chat":  # where nothing stands between the prompt and the summary
        prompter = replace(prompter, lead="")
    examples = [example("text", " Its art, party art. "), example("text", "nothing"), example("text", "art")]
    rows = batches.rows(examples, prompter, ["art", "na\u00efve bayes"])
    end = tiny.tokenizer.end
    for row in rows:
        assert len(row.marked) == len(row.target) and row.target[-1] == end and not row.marked[-1]
    marked = [[id_ for id_, mark in zip(row.target, row.marked, strict=True) if mark] for row in rows]
    assert [tiny.tokenizer.decode(ids) for ids in marked] == ["artart", "", "art"]
    assert [row.target for row in rows] == [row.target for row in batches.rows(examples, prompter)]
    batch = batches.collate(rows, pad=0)
    assert batch.marked is not None and batch.marked.shape == batch.targets.shape
    assert batch.targets[batch.marked].tolist() == [id_ for ids in marked for id_ in ids]
    assert not batch.marked[batch.targets == IGNORED].any()
    assert batch.to(batch.mask.device).marked is not None


def test_without_a_lexicon_nothing_is_marked_and_a_mixed_batch_has_no_marks() -> None:
    plain, marked = Row("a", [1], [2, 3]), Row("b", [1], [2], marked=(False,))
    assert batches.collate([plain], pad=0).marked is None
    assert batches.collate([plain, marked], pad=0).marked is None
    assert batches.collate([marked], pad=0).marked is not None


def test_a_lexicon_that_no_summary_uses_is_an_error(tiny: Any) -> None:
    options = prompts.Options(style="plain", max_tokens=160, max_summary_tokens=20)
    prompter = prompts.build(options, tiny.tokenizer, 4096, chat.frame)
    with pytest.raises(DataError, match=r"no summary of 2 holds one of the lexicon's 1 terms \(art, \.\.\.\)"):
        batches.rows([example("art", "party"), example("art", "arts")], prompter, ["art"])


def test_what_a_teacher_expected_stays_with_its_target() -> None:
    rows = [
        replace(row, taught=Taught(torch.full((len(row.target), 2), n), torch.full((len(row.target), 3), -float(n))))
        for n, row in enumerate([Row("a", [1, 2], [3, 4, 5]), Row("b", [1], [6])], 1)
    ]
    batch = batches.collate(rows, pad=0).to(torch.device("cpu"))
    assert batch.taught is not None and batch.weights is None
    assert batch.taught.ids[..., 0].tolist() == [[1, 1, 1], [2, 0, 0]]
    assert batch.taught.log_p[1].tolist() == [[-2.0] * 3, [0.0] * 3, [0.0] * 3]
    assert batches.collate([rows[0], replace(rows[1], taught=None)], pad=0).taught is None


def test_weights_are_there_where_one_is_not_one() -> None:
    rows = [Row("a", [1], [2]), Row("b", [1], [2], weight=0.5)]
    weights = batches.collate(rows, pad=0).to(torch.device("cpu")).weights
    assert weights is not None and weights.tolist() == [1.0, 0.5]
    assert batches.collate(rows[:1], pad=0).weights is None


def test_an_epoch_may_show_another_prompt() -> None:
    rows = [Row(name, [1], [2]) for name in "abc"]
    plan = batches.steps(rows, epochs=2, batch=2, seed=0, shown=lambda row, epoch: replace(row, prompt=[epoch]))
    assert [row.prompt for step in plan for row in step] == [[0]] * 3 + [[1]] * 3
    unchanged = batches.steps(rows, epochs=2, batch=2, seed=0)
    assert [[row.example for row in step] for step in plan] == [[row.example for row in step] for step in unchanged]
