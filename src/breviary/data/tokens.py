"""The backbone's own tokenizer, with the two ways of reading text kept apart.

`encode` reads a document: whatever looks like a special token in it (`</s>`, `<|im_end|>`) stays plain text.
`encode_markup` reads a prompt template, where special tokens mean themselves.
Training, evaluation and serving all go through here. Only the `tokenizers` library is needed, so that a stage that
counts tokens does not pay for torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Fast

from breviary import artifacts
from breviary.errors import ModelError


@dataclass(frozen=True)
class Tokenizer:
    """A fast tokenizer loaded from a folder that holds `tokenizer.json` and `tokenizer_config.json`."""

    plain: Fast  # special tokens read as text
    markup: Fast
    end: int  # id of the token that ends a text
    pad: int
    chat_template: str | None  # Jinja, as the backbone's makers ship it
    specials: dict[str, str]  # bos_token, eos_token, ...: what a chat template may name

    def encode(self, text: str) -> list[int]:
        """Token ids of a document; special tokens inside it are plain text."""
        return self.plain.encode(text, add_special_tokens=False).ids

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each token of `encode(text)`, the characters (start, end) that it covers."""
        return self.plain.encode(text, add_special_tokens=False).offsets

    def count(self, text: str) -> int:
        """How many tokens `text` has."""
        return len(self.encode(text))

    def encode_markup(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Token ids of a template, with the tokens that the backbone puts before a text if asked for."""
        ids = self.markup.encode(text, add_special_tokens=add_special_tokens).ids
        return ids[:-1] if add_special_tokens and ids and ids[-1] == self.end else ids

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, special tokens left out."""
        return self.markup.decode(ids, skip_special_tokens=True)


def load(folder: Path) -> Tokenizer:
    """The tokenizer stored in `folder`. Raises ModelError if it has no end-of-text token or no fast form."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(f"{folder.name}: no tokenizer.json; only backbones with a fast tokenizer are supported")
    settings = artifacts.read_json(folder / "tokenizer_config.json")
    plain, markup = Fast.from_file(str(file)), Fast.from_file(str(file))
    plain.encode_special_tokens = True
    for fast in (plain, markup):  # some files ask for it, and would shorten documents without a word
        fast.no_truncation()
        fast.no_padding()
    specials = {
        name: _content(value)
        for name, value in sorted(settings.items())
        if name.endswith("_token") and isinstance(value, str | dict)  # not `add_bos_token: true`
    }
    end = markup.token_to_id(specials.get("eos_token", ""))
    if end is None:
        raise ModelError(f"{folder.name}: the tokenizer names no end-of-text token (eos_token)")
    pad = markup.token_to_id(specials.get("pad_token", ""))
    template = folder / "chat_template.jinja"
    chat = template.read_text(encoding="utf-8") if template.is_file() else _default(settings.get("chat_template"))
    return Tokenizer(plain, markup, end, end if pad is None else pad, chat, specials)


def _default(template: Any) -> str | None:
    """Some files hold several named templates."""
    if isinstance(template, list):
        return next((each["template"] for each in template if each["name"] == "default"), None)
    return template


def _content(token: Any) -> str:
    """Older files spell a special token as a mapping, newer ones as a string."""
    return token["content"] if isinstance(token, dict) else str(token)
