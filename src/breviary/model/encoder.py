"""Sentence embeddings: the mean of the last hidden states over the attention mask, L2-normalised, in fp32.

Reimers & Gurevych 2019, arXiv:1908.10084. all-MiniLM-L6-v2 reads 256 word-pieces. A longer text is not cut silently,
as sentence-transformers does: it is read in segments of `MAX_TOKENS`, and its embedding is the mean of theirs, each
counting as much as its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from breviary.errors import ModelError
from breviary.model import compute

MAX_TOKENS = 256


@dataclass(frozen=True)
class Encoder:
    """A sentence encoder and its tokenizer, loaded once."""

    model: Any  # transformers' PreTrainedModel: its class depends on the folder
    tokenizer: Any
    device: torch.device

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each word-piece of `text`, the characters (start, end) that it covers."""
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return found["offset_mapping"]

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch_size: int = 32) -> Float[Tensor, "texts width"]:
        """The unit embedding of each text, in the order given. Batches hold segments of like length: little padding."""
        cut = self.tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS, return_overflowing_tokens=True)
        segments, owners = cut["input_ids"], cut["overflow_to_sample_mapping"]
        order = sorted(range(len(segments)), key=lambda place: (-len(segments[place]), segments[place]))
        out = torch.zeros(len(texts), self.model.config.hidden_size)
        for start in tqdm(range(0, len(order), batch_size), disable=None, unit="batches", desc="embed"):
            places = order[start : start + batch_size]
            batch = self.tokenizer.pad({"input_ids": [segments[place] for place in places]}, return_tensors="pt")
            hidden = self.model(**batch.to(self.device)).last_hidden_state
            pooled = mean_pool(hidden, batch["attention_mask"].to(self.device)).cpu()
            lengths = torch.tensor([[float(len(segments[place]))] for place in places])
            out.index_add_(0, torch.tensor([owners[place] for place in places]), lengths * pooled)
        return torch.nn.functional.normalize(out, dim=-1, eps=1e-6)


def load(folder: Path) -> Encoder:
    """The encoder stored in `folder`, on the accelerator if there is one. Raises ModelError if it is not whole."""
    from transformers import AutoModel, AutoTokenizer

    compute.quiet()
    needed = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        names = ", ".join(missing)
        raise ModelError(f"{folder.name}: {names} missing; delete the folder and run `dvc repro -f base_model`")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = AutoModel.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return Encoder(model.eval().to(device), tokenizer, device)


def mean_pool(
    hidden: Float[Tensor, "texts time width"], mask: Int[Tensor, "texts time"]
) -> Float[Tensor, "texts width"]:
    """The mean over the positions where `mask` is 1, scaled to unit length."""
    weights = mask.unsqueeze(-1).to(torch.float32)
    total = (hidden.float() * weights).sum(1)
    return torch.nn.functional.normalize(total / weights.sum(1).clamp_min(1), dim=-1, eps=1e-6)
