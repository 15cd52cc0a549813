"""The document alone is shortened; the instruction, the cue and the summary stay whole."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from breviary.data import prompts, tokens
from breviary.data.prompts import Options, Prompter
from breviary.errors import ConfigError, DataError
from breviary.model import chat


def options(**changes: Any) -> Options:
    return Options.model_validate({"style": "plain", "max_tokens": 160, "max_summary_tokens": 40} | changes)


@pytest.fixture(scope="module")
def prompter(tiny: Any) -> Prompter:
    return prompts.build(options(), tiny.tokenizer, 4096, chat.frame)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400).filter(lambda text: text.strip()))
def test_a_prompt_never_loses_its_prefix_or_suffix(prompter: Prompter, text: str) -> None:
    made = prompter.prompt(text)
    whole = prompter.tokenizer.encode(f" {text.strip()}")
    start, end = len(prompter.prefix), len(made.ids) - len(prompter.suffix)
    assert made.ids[:start] == prompter.prefix == prompter.tokenizer.encode("Summarize the following text.\n\nText:")
    assert made.ids[end:] == prompter.suffix == prompter.tokenizer.encode("\n\nSummary:")
    assert made.ids[start:end] == whole[: prompter.room]
    assert made.truncated == (len(whole) > prompter.room)
    assert len(made.ids) + prompter.max_summary_tokens <= prompter.max_tokens


@pytest.mark.parametrize(("extra", "truncated"), [(-1, False), (0, False), (1, True)])
def test_truncation_is_exact(extra: int, truncated: bool, prompter: Prompter) -> None:
    assert prompter.room == 160 - 40 - len(prompter.prefix) - len(prompter.suffix)
    made = prompter.prompt("x" * (prompter.room - len(prompter.opening) + extra))
    assert made.truncated is truncated
    assert len(made.ids) == 120 + min(extra, 0)


def test_the_space_before_a_document_is_read_together_with_its_first_word(prompter: Prompter) -> None:
    assert prompter.opening == " "
    assert prompter.prompt("abc").ids == [
        *prompter.prefix,
        *prompter.tokenizer.encode(" abc"),
        *prompter.suffix,
    ]


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_an_empty_document_is_refused(text: str, prompter: Prompter) -> None:
    with pytest.raises(DataError, match="without a single token"):
        prompter.prompt(text)


def test_a_target_is_whole_and_ends(prompter: Prompter) -> None:
    assert prompter.target(" abc ") == [*prompter.tokenizer.encode(" abc"), 257]
    assert len(prompter.target("x" * 38)) == 40
    with pytest.raises(DataError, match=r"reference summary of 41 tokens exceeds prompt\.max_summary_tokens=40"):
        prompter.target("x" * 39)


def test_an_end_token_written_out_in_a_summary_does_not_end_it(prompter: Prompter) -> None:
    assert prompter.target("a</s>b").count(257) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"style": "custom", "template": "Summarise this:"}, r"must hold \{text\} exactly once"),
        ({"style": "custom", "template": "{text} and {text}"}, r"must hold \{text\} exactly once"),
        ({"style": "custom"}, "template goes with style 'custom'"),
        ({"template": "a {text}"}, "template goes with style 'custom'"),
        ({"max_tokens": 64, "max_summary_tokens": 48}, "leaves no room for a document"),
        ({"style": "fancy"}, "plain"),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        options(**changes)


def test_a_budget_beyond_the_window_is_refused(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r"prompt\.max_tokens=160 exceeds the backbone's window of 100 tokens"):
        prompts.build(options(), tiny.tokenizer, 100, chat.frame)


def test_a_template_that_fills_the_budget_is_refused(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r"leaves 14 tokens for a document; raise prompt\.max_tokens"):
        prompts.build(options(max_tokens=100), tiny.tokenizer, 4096, chat.frame)


def test_presets_and_custom_templates_are_what_they_say(tiny: Any) -> None:
    inst = prompts.build(options(style="inst"), tiny.tokenizer, 4096, chat.frame).prompt("abc")
    assert tiny.tokenizer.decode(inst.ids) == prompts.PRESETS["inst"].replace("{text}", "abc")
    custom = prompts.build(options(style="custom", template="<s>{text} =>"), tiny.tokenizer, 4096, chat.frame).prompt(
        "<s>abc"
    )
    assert custom.ids == [256, *tiny.tokenizer.encode("<s>abc =>")]


def test_the_prompt_begins_as_the_tokenizer_begins_a_text(tmp_path: Path, tiny: Any) -> None:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    fast = Tokenizer.from_file(str(tiny.folder / "tokenizer.json"))
    fast.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 256), ("</s>", 257)])
    fast.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_bytes((tiny.folder / "tokenizer_config.json").read_bytes())
    made = prompts.build(options(), tokens.load(tmp_path), 4096, chat.frame).prompt("abc")
    assert made.ids[0] == 256 and made.ids.count(256) == 1 and 257 not in made.ids
