"""A real Llama of a few random layers with a byte tokenizer: everything works and nothing is learned from before.

For tests and for trying a pipeline out in seconds. The weights are drawn from a seeded generator, so that the same
options give the same bytes.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from breviary import artifacts, config
from breviary.model import compute
from breviary.records import content_hash


class Options(config.Options):
    """The size of the random model."""

    kind: Literal["tiny"]
    layers: int = Field(default=2, ge=1, le=64)
    width: int = Field(default=64, ge=16, le=4096, multiple_of=16)
    context_tokens: int = Field(default=4096, ge=64)
    seed: int = Field(default=0, ge=0)


def fetch(options: Options, cache: Path) -> Path:
    """The folder of the model, made if it is not in `cache` yet."""
    folder = place(options, cache)
    if not folder.is_dir():
        compute.quiet()
        with artifacts.atomic(folder) as temporary:
            _model(options).save_pretrained(temporary)
            _tokenizer().save_pretrained(temporary)
    return folder


def place(options: Options, cache: Path) -> Path:
    """Where `fetch` leaves the model."""
    return cache / f"tiny-{content_hash(json.dumps(options.model_dump(), sort_keys=True))}"


def _model(options: Options):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    settings = LlamaConfig(
        vocab_size=259,
        hidden_size=options.width,
        intermediate_size=2 * options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=options.context_tokens,
        tie_word_embeddings=True,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=258,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return LlamaForCausalLM(settings)


def _tokenizer():
    """One token for each byte, ids 0-255; three special tokens follow."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fast = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens(["<s>", "</s>", "<pad>"])
    return PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
