"""A passage with related ones: never more room than alone, prefix and suffix whole."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breviary.data import contexts, prompts
from breviary.data.prompts import Prompter
from breviary.errors import DataError
from breviary.model import chat

WORDS = st.text("ab c.", min_size=1, max_size=200).filter(str.strip)


@pytest.fixture(scope="session")
def prompter(tiny: Any) -> Prompter:
    options = prompts.Options(style="plain", template=None, max_tokens=200, max_summary_tokens=30)
    return prompts.build(options, tiny.tokenizer, 4096, chat.frame)


def body(prompter: Prompter, prompt: prompts.Prompt) -> str:
    assert prompt.ids[: len(prompter.prefix)] == prompter.prefix
    assert prompt.ids[len(prompt.ids) - len(prompter.suffix) :] == prompter.suffix
    return prompter.tokenizer.decode(prompt.ids[len(prompter.prefix) : len(prompt.ids) - len(prompter.suffix)])


@settings(deadline=None, max_examples=40)
@given(WORDS, st.lists(WORDS, max_size=3), st.floats(0.05, 0.95))
def test_no_prompt_exceeds_the_room_of_a_plain_one(
    prompter: Prompter, text: str, related: list[str], share: float
) -> None:
    made = contexts.prompt(prompter, text, related, share)
    inside = body(prompter, made)
    assert len(made.ids) + prompter.max_summary_tokens <= prompter.max_tokens
    own = inside.split(contexts.HEADING)[0]
    assert prompter.tokenizer.decode(prompter.prompt(text).ids[len(prompter.prefix) :]).startswith(own)
    assert made.truncated or own.strip() == text.strip()
    if related and len(made.ids) < prompter.max_tokens - prompter.max_summary_tokens:
        assert inside.endswith(contexts.BETWEEN.join(each.strip() for each in related))


def test_the_passage_is_shortened_only_as_far_as_the_others_need(prompter: Prompter) -> None:
    long, room = "x" * 500, prompter.room
    half = body(prompter, contexts.prompt(prompter, long, ["y" * 500], 0.5))
    assert half.count("x") + len(prompter.opening) == room - room // 2 and half.count("y") > 30
    little = body(prompter, contexts.prompt(prompter, long, ["y"], 0.9))
    assert little.endswith("\n\ny") and len(little) == room and little.count("x") > room // 2
    short = body(prompter, contexts.prompt(prompter, "xxx", ["y" * 500], 0.1))
    assert short.strip().startswith("xxx\n\nRelated passages:\n\nyyy") and len(short) == room


def test_nothing_related_is_the_plain_prompt(prompter: Prompter) -> None:
    assert contexts.prompt(prompter, "some text", [" ", ""], 0.5) == prompter.prompt("some text")
    with pytest.raises(DataError, match="without a single token"):
        contexts.prompt(prompter, " ", ["b"], 0.5)
