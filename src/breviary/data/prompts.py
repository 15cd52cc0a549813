"""From a text to the tokens that a model is given, the same in training, evaluation and serving.

A prompt is `prefix + document + suffix`. Only the document is ever shortened, from its end and by token ids; the
instruction before it, the cue after it and the summary to learn always stay whole. The room for the document is

    max_tokens - max_summary_tokens - |prefix| - |suffix|

for training and for generation alike, so that a model is asked in the way in which it was taught.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from breviary import config
from breviary.data.tokens import Tokenizer
from breviary.errors import ConfigError, DataError

PRESETS = {
    "plain": "Summarize the following text.\n\nText: {text}\n\nSummary:",
    "inst": "[INST] Summarize the following news article:\n\n{text}\n\nSummary: [/INST]",
    "chat": "Summarize the following text.\n\n{text}",  # the message of the user, inside the backbone's chat template
}
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
    opening: str  # a space that stands between the prefix and the document: many tokenizers join it to the first word
    lead: str  # what stands between the suffix and the first word of a summary
    max_tokens: int
    max_summary_tokens: int

    @property
    def room(self) -> int:
        """How many tokens of a document fit."""
        return self.max_tokens - self.max_summary_tokens - len(self.prefix) - len(self.suffix)

    @property
    def longest(self) -> int:
        """How many tokens a prompt has at most."""
        return self.max_tokens - self.max_summary_tokens

    def prompt(self, text: str) -> Prompt:
        """The prompt for `text`. Raises DataError if there is not one token to summarise."""
        stripped = text.strip()
        ids = self.tokenizer.encode(self.opening + stripped) if stripped else []
        if not ids:
            raise DataError("a document without a single token cannot be summarised")
        return Prompt([*self.prefix, *ids[: self.room], *self.suffix], truncated=len(ids) > self.room)

    def target_text(self, summary: str) -> str:
        """What is learnt of `summary`, as text."""
        return self.lead + summary.strip()

    def target(self, summary: str) -> list[int]:
        """The tokens to learn: the summary, then the end of the text.

        Raises DataError if they exceed the budget: a summary cut short teaches to stop in mid-sentence.
        """
        ids = [*self.tokenizer.encode(self.target_text(summary)), self.tokenizer.end]
        if len(ids) > self.max_summary_tokens:
            raise DataError(
                f"reference summary of {len(ids)} tokens exceeds prompt.max_summary_tokens={self.max_summary_tokens}"
            )
        return ids


Frame = Callable[[str, Tokenizer], tuple[str, str]]  # a chat message -> the text before and after its `{text}`


def build(options: Options, tokenizer: Tokenizer, context_tokens: int, frame: Frame) -> Prompter:
    """The prompter for one backbone, whose window holds `context_tokens` and whose chat template is `frame`."""
    if options.max_tokens > context_tokens:
        raise ConfigError(
            f"prompt.max_tokens={options.max_tokens} exceeds the backbone's window of {context_tokens} tokens"
        )
    template = options.template or PRESETS[options.style]
    is_chat = options.style == "chat"
    before, after = frame(template, tokenizer) if is_chat else template.split("{text}")
    opening = " " if before.endswith(" ") else ""
    prompter = Prompter(
        tokenizer,
        prefix=tokenizer.encode_markup(before.removesuffix(opening), add_special_tokens=not is_chat),
        suffix=tokenizer.encode_markup(after),
        opening=opening,
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
