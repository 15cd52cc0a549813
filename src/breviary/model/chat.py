"""The backbone's own chat template, as the text that stands before and after a user's message."""

from typing import Any

from breviary.data.tokens import Tokenizer
from breviary.errors import ConfigError

# Some templates tell the model the date. The real one would make another prompt every day.
TODAY = "{%- macro strftime_now(format) -%} 26 Jul 2024 {%- endmacro %}"


def frame(message: str, tokenizer: Tokenizer) -> tuple[str, str]:
    """What the template puts before and after the place of `{text}` in the user's message.

    Raises ConfigError if there is no template, or if it changes or repeats the message.
    """
    if tokenizer.chat_template is None:
        raise ConfigError("prompt.style is 'chat', but this backbone has no chat template; choose 'plain'")
    from transformers.utils.chat_template_utils import render_jinja_template

    marker = "\u2063text\u2063"  # invisible separators: no template or document contains this
    messages = [{"role": "user", "content": message.replace("{text}", marker)}]
    named: dict[str, Any] = dict(tokenizer.specials)
    rendered, _ = render_jinja_template(
        conversations=[messages], chat_template=TODAY + tokenizer.chat_template, add_generation_prompt=True, **named
    )
    if rendered[0].count(marker) != 1:
        raise ConfigError("the backbone's chat template changes or repeats the message: no place for the document")
    before, after = rendered[0].split(marker)
    return before, after
