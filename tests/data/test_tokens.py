"""What looks like a special token in a document is text; in a template it is itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breviary.data import tokens
from breviary.errors import ModelError

SPECIALS = ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture
def folder(tmp_path: Path, tiny: Any) -> Path:
    """A copy of the tiny tokenizer with the special tokens of other families, whose files a test may change."""
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(tiny.folder / "tokenizer.json"))
    fast.add_special_tokens(SPECIALS[3:])
    fast.save(str(tmp_path / "tokenizer.json"))
    shutil.copy(tiny.folder / "tokenizer_config.json", tmp_path)
    return tmp_path


def settings(folder: Path, **changes: Any) -> None:
    file = folder / "tokenizer_config.json"
    known = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in known.items() if value is not None}))


@pytest.mark.parametrize("special", SPECIALS)
def test_a_special_token_in_a_document_stays_text(special: str, folder: Path) -> None:
    tokenizer = tokens.load(folder)
    ids = tokenizer.encode(f"before {special} after")
    assert not set(ids) & set(range(256, 256 + len(SPECIALS)))
    assert tokenizer.decode(ids) == f"before {special} after"


@pytest.mark.parametrize("special", SPECIALS)
def test_a_special_token_in_a_template_is_itself(special: str, folder: Path) -> None:
    tokenizer = tokens.load(folder)
    assert tokenizer.encode_markup(f"a{special}b") == [
        *tokenizer.encode("a"),
        256 + SPECIALS.index(special),
        *tokenizer.encode("b"),
    ]


@given(TEXT | st.lists(st.sampled_from([*SPECIALS, "é", " ", "\n", "x", "漢"])).map("".join))
def test_bytes_come_back_as_they_were(tiny: Any, text: str) -> None:
    ids = tiny.tokenizer.encode(text)
    assert tiny.tokenizer.decode(ids) == text
    assert len(ids) == len(text.encode()) == tiny.tokenizer.count(text)
    assert all(id < 256 for id in ids)


@given(TEXT)
def test_offsets_cover_the_text_in_order(tiny: Any, text: str) -> None:
    offsets = tiny.tokenizer.offsets(text)
    assert len(offsets) == len(tiny.tokenizer.encode(text))
    assert {at for start, end in offsets for at in range(start, end)} == set(range(len(text)))
    assert offsets == sorted(offsets)


def test_decoding_leaves_special_tokens_out(tiny: Any) -> None:
    assert tiny.tokenizer.decode([256, *tiny.tokenizer.encode("a b"), 257, 258]) == "a b"


def test_a_stored_truncation_shortens_nothing(folder: Path) -> None:
    from tokenizers import Tokenizer

    fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
    fast.enable_truncation(8)
    fast.enable_padding(length=12)
    fast.save(str(folder / "tokenizer.json"))
    tokenizer = tokens.load(folder)
    assert tokenizer.count("x" * 50) == len(tokenizer.encode_markup("x" * 50)) == 50
    assert tokenizer.count("x") == len(tokenizer.encode_markup("x")) == 1


@pytest.mark.parametrize("processor", ["<s> $A", "<s> $A </s>"])
def test_what_the_tokenizer_puts_before_a_text_is_kept_and_an_end_is_not(processor: str, folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
    fast.post_processor = TemplateProcessing(single=processor, special_tokens=[("<s>", 256), ("</s>", 257)])
    fast.save(str(folder / "tokenizer.json"))
    tokenizer = tokens.load(folder)
    assert tokenizer.encode_markup("hi", add_special_tokens=True) == [256, *tokenizer.encode("hi")]
    assert tokenizer.encode_markup("hi") == tokenizer.encode("hi")


def test_without_a_pad_token_the_end_pads(folder: Path) -> None:
    settings(folder, pad_token=None)
    assert tokens.load(folder).pad == tokens.load(folder).end == 257


def test_older_files_are_read_too(folder: Path) -> None:
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    settings(folder, eos_token={"content": "</s>"}, add_bos_token=True, chat_template=named)
    tokenizer = tokens.load(folder)
    assert (tokenizer.end, tokenizer.chat_template) == (257, "D")
    assert tokenizer.specials == {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


def test_the_template_file_wins_over_the_setting(folder: Path) -> None:
    settings(folder, chat_template="setting")
    (folder / "chat_template.jinja").write_text("file")
    assert tokens.load(folder).chat_template == "file"


def test_a_tokenizer_without_an_end_is_refused(folder: Path) -> None:
    settings(folder, eos_token=None)
    with pytest.raises(ModelError, match=r"names no end-of-text token \(eos_token\)"):
        tokens.load(folder)


def test_a_slow_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json; only backbones with a fast tokenizer"):
        tokens.load(folder)
