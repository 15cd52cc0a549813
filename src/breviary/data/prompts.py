"""From a text to the tokens that a model is given, the same in training, evaluation and serving.

A prompt is `prefix + document + suffix`. Only the document is ever shortened, from its end and by token ids; the
instruction before it, the cue after it and the summary to learn always stay whole. The room for the document is

    max_tokens - max_summary_tokens - |prefix| - |suffix|

for training and for generation alike, so that a model is asked in the way in which it was taught.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from breviary import config
from breviary.data.tokens import Tokenizer
from breviary.errors import ConfigError, DataError

PRESETS = {
    "plain": "Summarize the following text.\n\nText: {text}\n\nSummary:",
    "inst": "[INST] Summarize the following news article:\n\n{text}\n\nSummary: [/INST]",
    "chat": "Summarize the following text.\n\n{text}",  # the message of the user, inside the backbone's chat template
}
# Some chat templates tell the model the date. The real one would make another prompt every day.
TODAY = "{%- macro strftime_now(format) -%} 26 Jul 2024 {%- endmacro %}"
SMALLEST_DOCUMENT = 16  # tokens; with less room than this there is nothing to summarise


class Options(config.Options):
    """How a document is put to the model, and how long prompt and summary may be together."""

    style: Literal["plain", "inst", "chat", "custom"]
    template: str | None = None  # for style custom; must hold {text} once
    max_tokens: int = Field(ge=64)
    max_summary_tokens: int = Field(ge=8)

    @model_validator(mode="after")
    def _a_template_has_a_place_for_the_text(self) -> "Options":
        if (self.style == "custom") != (self.template is not None):
            raise ConfigError("template goes with style 'custom', and style 'custom' with a template")
        if self.template is not None and self.template.count("{text}") != 1:
            raise ConfigError("the template must hold {text} exactly once, where the document goes")
        if self.max_summary_tokens + SMALLEST_DOCUMENT >= self.max_tokens:
            raise ConfigError("max_summary_tokens leaves no room for a document inside max_tokens")
        return self


@dataclass(frozen=True)
class Prompt:
    """The tokens of one prompt; `truncated` if the end of the document is not among them."""

    ids: list[int]
    truncated: bool


@dataclass(frozen=True)
class Generated:
    """What a model wrote after a prompt; `finished` if it ended by itself rather than by the token limit."""

    text: str
    tokens: int
    finished: bool


@dataclass(frozen=True)
class Prompter:
    """A template in token ids, and its budget."""

    tokenizer: Tokenizer
    prefix: list[int]
    suffix: list[int]
    lead: str  # what stands between the suffix and the first word of a summary
    max_tokens: int
    max_summary_tokens: int

    @property
    def room(self) -> int:
        """How many tokens of a document fit."""
        return self.max_tokens - self.max_summary_tokens - len(self.prefix) - len(self.suffix)

    def prompt(self, text: str) -> Prompt:
        """The prompt for `text`. Raises DataError if there is not one token to summarise."""
        ids = self.tokenizer.encode(text.strip())
        if not ids:
            raise DataError("a document without a single token cannot be summarised")
        return Prompt([*self.prefix, *ids[: self.room], *self.suffix], truncated=len(ids) > self.room)

    def target(self, summary: str) -> list[int]:
        """The tokens to learn: the summary, then the end of the text.

        Raises DataError if they exceed the budget: a summary cut short teaches to stop in mid-sentence.
        """
        ids = [*self.tokenizer.encode(self.lead + summary.strip()), self.tokenizer.end]
        if len(ids) > self.max_summary_tokens:
            raise DataError(
                f"reference summary of {len(ids)} tokens exceeds prompt.max_summary_tokens={self.max_summary_tokens}"
            )
        return ids


def build(options: Options, tokenizer: Tokenizer, context_tokens: int) -> Prompter:
    """The prompter for one backbone, whose window holds `context_tokens`."""
    if options.max_tokens > context_tokens:
        raise ConfigError(
            f"prompt.max_tokens={options.max_tokens} exceeds the backbone's window of {context_tokens} tokens"
        )
    template = options.template or PRESETS[options.style]
    is_chat = options.style == "chat"
    before, after = _chat(template, tokenizer) if is_chat else template.split("{text}")
    prompter = Prompter(
        tokenizer,
        prefix=tokenizer.encode_markup(before, add_special_tokens=not is_chat),
        suffix=tokenizer.encode_markup(after),
        lead="" if is_chat else " ",
        max_tokens=options.max_tokens,
        max_summary_tokens=options.max_summary_tokens,
    )
    if prompter.room < SMALLEST_DOCUMENT:
        raise ConfigError(
            f"the prompt leaves {prompter.room} tokens for a document; raise prompt.max_tokens ({options.max_tokens}) "
            f"or lower prompt.max_summary_tokens ({options.max_summary_tokens})"
        )
    return prompter


def check_targets(prompter: Prompter, summaries: Mapping[str, str]) -> None:
    """Raise one DataError that names every reference summary (by document id) that is longer than the budget."""
    count = prompter.tokenizer.count
    lengths = {name: count(prompter.lead + text.strip()) + 1 for name, text in summaries.items()}
    long = {name: length for name, length in sorted(lengths.items()) if length > prompter.max_summary_tokens}
    if long:
        shown = ", ".join(f"{name} ({length})" for name, length in list(long.items())[:10])
        raise DataError(
            f"{len(long)} of {len(lengths)} reference summaries exceed "
            f"prompt.max_summary_tokens={prompter.max_summary_tokens}: {shown}{', ...' if len(long) > 10 else ''}\n"
            f"raise it to {max(long.values())}, or drop long references with data.max_summary_words"
        )


def _chat(template: str, tokenizer: Tokenizer) -> tuple[str, str]:
    """The text before and after the document when the backbone's chat template wraps the user's message."""
    if tokenizer.chat_template is None:
        raise ConfigError("prompt.style is 'chat', but this backbone has no chat template; choose 'plain'")
    from transformers.utils.chat_template_utils import render_jinja_template

    marker = "\u2063text\u2063"  # invisible separators: no template or document contains this
    messages = [{"role": "user", "content": template.replace("{text}", marker)}]
    named: dict[str, Any] = dict(tokenizer.specials)
    rendered, _ = render_jinja_template(
        conversations=[messages], chat_template=TODAY + tokenizer.chat_template, add_generation_prompt=True, **named
    )
    if rendered[0].count(marker) != 1:
        raise ConfigError("the backbone's chat template changes or repeats the message: no place for the document")
    before, after = rendered[0].split(marker)
    return before, after
