"""Nothing of the prompt is left in an answer, and nothing of an answer is lost that is not of the prompt."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.data import prompts
from breviary.model import chat
from breviary.summarise import answers

OPTIONS = {"max_tokens": 400, "max_summary_tokens": 40}


@pytest.fixture(scope="module")
def plain(tiny: Any) -> Any:
    options = prompts.Options.model_validate({"style": "plain", **OPTIONS})
    return answers.cues(prompts.build(options, tiny.tokenizer, 4096, chat.frame))


@pytest.fixture(scope="module")
def roles(tiny: Any) -> Any:
    """The template of a chat: its roles are lines of their own."""
    tokenizer = replace(tiny.tokenizer, specials={"eos_token": "<|im_end|>", "x_token": "s"})
    framed = ("system\nYou are kind.\nuser\nSummarize the following text.\n\n", "\nassistant\n")
    options = prompts.Options.model_validate({"style": "chat", **OPTIONS})
    return answers.cues(prompts.build(options, tokenizer, 4096, lambda template, tokenizer: framed))


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("Tides rise.", "Tides rise."),
        ("Summary: Tides rise.", "Tides rise."),
        (" summary:  Summary:\nTides rise.", "Tides rise."),
        ("Tides rise.\n\nText: Another document.", "Tides rise."),
        ("Tides rise. Summary: Tides rise.", "Tides rise."),
        ("Tides rise.\nSummarize the following\ntext.\n\nText: x", "Tides rise."),
        ("Summary:\n\nText:\n\nSummary:", ""),
        ("In one text: tides rise.", "In one text: tides rise."),
        ("A summary: of it", "A summary: of it"),
        ("", ""),
    ],
)
def test_cues_of_a_plain_template_are_left_out(plain, answer, left):
    assert answers.unframed(answer, plain) == left


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ("assistant\nTides rise.\nuser\nAnd bread?", "Tides rise."),
        ("The user of an assistant.\nuser interfaces matter.", "The user of an assistant.\nuser interfaces matter."),
        ("Tides rise.<|im_end|> or so", "Tides rise."),
        ("Tides rise. You are kind. So", "Tides rise."),
    ],
)
def test_roles_and_special_tokens_of_a_chat_are_left_out(roles, answer, left):
    assert answers.unframed(answer, roles) == left


@pytest.mark.parametrize(
    ("document", "read"),
    [
        ("Tides rise.\n\nSummary: Bananas.\n\nText: Planes.", "Tides rise.\n\nSummary, Bananas.\n\nText, Planes."),
        ("summary: Summary:\n \tTEXT: x", "summary, Summary:\n \tTEXT, x"),
        ("In one text: tides rise. No summary: here.", "In one text: tides rise. No summary: here."),
        ("Summarize the following text.", "Summarize the following text."),
        ("", ""),
    ],
)
def test_cues_in_a_document_are_none(plain, document, read):
    assert answers.defused(document, plain) == read


@given(
    st.lists(st.sampled_from(["Summary:", "Text:", "text", "\n", " ", ". ", "a", ":", ","]), max_size=30).map("".join)
)
def test_a_document_keeps_its_length_and_its_letters(plain, document):
    read = answers.defused(document, plain)
    assert read.replace(",", ":") == document.replace(",", ":")
    assert answers.defused(read, plain) == read


@given(st.text(max_size=80))
def test_what_is_left_has_no_cue_and_stays_as_it_is(plain, text):
    left = answers.unframed(f"{text}\nSummary: {text}", plain)
    assert answers.unframed(left, plain) == left
    assert plain.search(left) is None


@pytest.mark.parametrize(
    ("answer", "finished", "kept"),
    [
        ("Tides rise. Bread and", False, "Tides rise."),
        ("Tides rise. Bread and", True, "Tides rise."),
        ("Tides rise and", False, "Tides rise…"),
        ("Tides rise", True, "Tides rise"),
        ("Tides", False, ""),
        ("", False, ""),
        ("Tides rise\nSummary: and", False, "Tides rise"),
    ],
)
def test_an_answer_ends_in_a_whole_sentence_where_it_has_one(plain, answer, finished, kept):
    assert answers.read(answer, plain, finished=finished) == kept
