"""The random model: the same bytes for the same options, other ones for others, and a token for each byte."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from breviary.model.backbones import tiny as kind


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def options(**changes: Any) -> kind.Options:
    return kind.Options.model_validate({"kind": "tiny", "layers": 1, "width": 16} | changes)


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = kind.fetch(options(), tmp_path / "a")
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = kind.fetch(options(), tmp_path / "b")
    assert files(first) == files(second) and first.name == second.name
    assert torch.equal(torch.get_rng_state(), state)


def test_other_options_give_another_folder(tmp_path: Path) -> None:
    first, second = kind.fetch(options(), tmp_path), kind.fetch(options(seed=1), tmp_path)
    assert first != second
    assert files(first)["model.safetensors"] != files(second)["model.safetensors"]


def test_it_is_made_once(tmp_path: Path) -> None:
    folder = kind.fetch(options(), tmp_path)
    (folder / "mark").touch()
    assert (kind.fetch(options(), tmp_path) / "mark").exists()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_ids_and_size_fit_the_model(tiny: Any) -> None:
    config = tiny.loaded.config
    assert (config.vocab_size, config.num_hidden_layers, config.max_position_embeddings) == (259, 2, 4096)
    assert (tiny.tokenizer.end, tiny.tokenizer.pad) == (config.eos_token_id, config.pad_token_id) == (257, 258)
    everything = "".join(map(chr, range(sys.maxunicode // 64)))[:0xD800]
    assert sorted(set(tiny.tokenizer.encode(everything)))[-1] < 256


@pytest.mark.parametrize("changes", [{"layers": 0}, {"width": 20}, {"context_tokens": 8}, {"depth": 2}])
def test_sizes_out_of_range_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        options(**changes)


def test_no_progress_bar_where_there_is_no_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kind.fetch(options(), tmp_path)
    assert capfd.readouterr().err == ""
