"""A model that says what it is told to, whatever it reads: random weights write no words."""

from typing import Any

import pytest
import torch

from breviary.data.tokens import Tokenizer


def teach(patch: pytest.MonkeyPatch, model: Any, tokenizer: Tokenizer, said: str) -> None:
    """Let `model` write the tokens of `said` after every prompt, over and over."""
    ids, plain, prompt = tokenizer.encode(said), model.forward, 0

    def forward(*args: Any, **more: Any) -> Any:
        nonlocal prompt
        made = plain(*args, **more)
        known = made.past_key_values.get_seq_length()
        if known == more["input_ids"].shape[1]:
            prompt = known
        made.logits = torch.full_like(made.logits, -20.0)
        made.logits[:, -1, ids[(known - prompt) % len(ids)]] = 0.0
        return made

    patch.setattr(model, "forward", forward)
