"""A model that says what it is told to, whatever it reads: random weights write no words."""

from typing import Any

import pytest
import torch

from breviary.data.tokens import Tokenizer


def teach(patch: pytest.MonkeyPatch, model: Any, tokenizer: Tokenizer, said: str) -> None:
    """Let `model` write the tokens of `said`, over and over, from a place that depends on what it has read."""
    ids, plain = tokenizer.encode(said), model.forward

    def forward(*args: Any, **more: Any) -> Any:
        made = plain(*args, **more)
        made.logits = torch.full_like(made.logits, -20.0)
        width = made.logits.shape[1]
        places = range(made.past_key_values.get_seq_length() - width, made.past_key_values.get_seq_length())
        for at, place in enumerate(places):
            made.logits[:, at, ids[place % len(ids)]] = 0.0
        return made

    patch.setattr(model, "forward", forward)
