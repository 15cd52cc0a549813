"""The encoder pools what the mask shows, reads long texts whole, and depends neither on order nor on batches."""

from pathlib import Path

import pytest
import torch
from transformers import BertModel

from breviary.errors import ModelError
from breviary.model import encoder
from tests.model import letters

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one random layer whose words are letters."""
    place = tmp_path_factory.mktemp("encoder")
    shape = letters.config(place, LETTERS)
    torch.manual_seed(0)
    BertModel(shape).save_pretrained(place)
    return place


def test_embeddings_have_unit_length_and_keep_the_order(folder: Path):
    loaded = encoder.load(folder)
    texts = ["a b c", "z", "b b b b b b", "", "c a"]
    found = loaded.encode(texts)
    assert found.shape == (5, 16)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(5))
    for text, row in zip(texts, found, strict=True):
        torch.testing.assert_close(loaded.encode([text])[0], row, atol=1e-5, rtol=1e-4)


def test_two_calls_are_equal_bit_for_bit(folder: Path):
    texts = [" ".join(LETTERS[:n]) for n in range(1, 20)]
    assert torch.equal(encoder.load(folder).encode(texts, 4), encoder.load(folder).encode(texts, 4))


def test_a_long_text_is_read_to_its_end(folder: Path):
    loaded = encoder.load(folder)
    start, end = " ".join(["a"] * 254), " ".join(["z"] * 254)
    found = loaded.encode([start, end, f"{start} {end}"])
    expected = torch.nn.functional.normalize(found[0] + found[1], dim=-1)
    torch.testing.assert_close(found[2], expected, atol=1e-5, rtol=1e-4)


def test_offsets_cover_the_words_without_special_tokens(folder: Path):
    assert [tuple(each) for each in encoder.load(folder).offsets("ab c")] == [(0, 2), (3, 4)]


def test_the_mean_leaves_padding_out():
    hidden = torch.tensor([[[3.0, 0.0], [1.0, 4.0], [9.0, 9.0]]])
    torch.testing.assert_close(
        encoder.mean_pool(hidden, torch.tensor([[1, 1, 0]])), torch.tensor([[2.0, 2.0]]) / 8**0.5
    )


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.safetensors, tokenizer\.json, tokenizer_config\.json missing"):
        encoder.load(tmp_path)
