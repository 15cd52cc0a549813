"""A chat prompt is what the backbone's makers would send, with the document in its place."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from breviary.data import prompts, tokens
from breviary.data.prompts import Prompter
from breviary.data.tokens import Tokenizer
from breviary.errors import ConfigError
from breviary.model import chat

CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def build(tokenizer: Tokenizer) -> Prompter:
    options = prompts.Options(style="chat", max_tokens=160, max_summary_tokens=40)
    return prompts.build(options, tokenizer, 4096, chat.frame)


def test_chat_tokens_are_those_of_transformers(tiny: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast.from_pretrained(tiny.folder)
    theirs.chat_template = CHAT
    prompter = build(replace(tiny.tokenizer, chat_template=CHAT))
    message = prompts.PRESETS["chat"].replace("{text}", "A document.")
    asked = [{"role": "user", "content": message}]
    assert prompter.prompt("A document.").ids == theirs.apply_chat_template(
        asked, add_generation_prompt=True, return_dict=False
    )
    learnt = theirs.apply_chat_template([*asked, {"role": "assistant", "content": "Short."}], return_dict=False)
    assert [*prompter.prompt("A document.").ids, *prompter.target("Short.")] == learnt[:-1]  # but the newline after


def test_a_date_in_a_chat_template_never_changes(tiny: Any) -> None:
    dated = "{{ strftime_now('%d %b %Y') }} " + CHAT
    made = build(replace(tiny.tokenizer, chat_template=dated))
    assert tiny.tokenizer.decode(made.prompt("abc").ids).startswith("26 Jul 2024 ")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "this backbone has no chat template; choose 'plain'"),
        ("{{ messages[0]['content'] | upper }}", "changes or repeats the message"),
        ("{{ messages[0]['content'] }}{{ messages[0]['content'] }}", "changes or repeats the message"),
    ],
)
def test_a_chat_template_that_leaves_no_place_is_refused(template: str | None, message: str, tiny: Any) -> None:
    with pytest.raises(ConfigError, match=message):
        build(replace(tiny.tokenizer, chat_template=template))


@pytest.mark.slow
def test_the_embedded_backbone_is_asked_as_its_makers_do(smollm2: Path) -> None:
    from transformers import AutoTokenizer

    theirs, ours = AutoTokenizer.from_pretrained(smollm2, local_files_only=True), tokens.load(smollm2)
    prompter = build(ours)
    message = prompts.PRESETS["chat"].replace("{text}", "The capital of France is Paris.")
    expected = theirs.apply_chat_template(
        [{"role": "user", "content": message}], add_generation_prompt=True, return_dict=False
    )
    made = prompter.prompt("The capital of France is Paris.").ids
    assert theirs.decode(made) == theirs.decode(expected)
    split = [index for index, pair in enumerate(zip(made, expected, strict=False)) if pair[0] != pair[1]]
    assert made[-len(prompter.suffix) :] == expected[-len(prompter.suffix) :]
    assert not split or split[0] >= len(prompter.prefix) - 1  # only where the document meets the template
    for special in ("<|im_end|>", "<|im_start|>", "<|endoftext|>"):
        assert theirs.convert_tokens_to_ids(special) not in ours.encode(f"a {special} b")
        assert ours.decode(ours.encode(f"a {special} b")) == f"a {special} b"
        assert ours.encode_markup(special) == [theirs.convert_tokens_to_ids(special)]
