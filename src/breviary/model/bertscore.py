"""BERTScore: each token of one text is matched with the token of the other whose contextual state is most like its own.

    P = mean over tokens x of the summary of max over tokens y of the reference of cos(x, y)
    R = the same from the reference to the summary,   F1 = 2PR / (P + R)

The start and end tokens of a text may be matched and are not averaged over; there is no idf weighting. Zhang et al.
2020, arXiv:1904.09675, section 3, as the authors' library `bert_score` computes it, which is what the tests compare
with. It is not called here: it batches texts in the order of a set, so that its last digits differ from run to run; it
fails on an empty text and on a tokenizer without a limit; under transformers 5 it no longer sets the space before the
first word that RoBERTa's published figures have; and its pads win over tokens that are less alike than 0.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from breviary import artifacts
from breviary.errors import ModelError
from breviary.model import compute, resolve
from breviary.model.backbones import hub

MAX_TOKENS = 512  # of one text, what the authors' models read; the rest is cut, as in their library
SLICE = 128  # pairs whose states are in memory at once
BATCH = 32  # texts
HUB = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")


@dataclass(frozen=True)
class Read:
    """The tokens of one text: their unit states after each layer asked for, and which are averaged over."""

    states: Float[Tensor, "layers tokens width"]
    counted: Bool[Tensor, " tokens"]


@dataclass(frozen=True)
class Matcher:
    """An encoder, its tokenizer, and the layers whose states are compared."""

    model: Any  # transformers' PreTrainedModel: its class depends on the folder
    tokenizer: Any
    layers: tuple[int, ...]
    max_tokens: int
    device: torch.device

    def scores(self, pairs: Sequence[tuple[str, str]]) -> Float[Tensor, "layers pairs 3"]:
        """P, R and F1 of each (summary, reference). A text without a token scores 0."""
        found = []
        for start in tqdm(range(0, len(pairs), SLICE), disable=None, unit="slices", desc="bertscore"):
            slice_ = pairs[start : start + SLICE]
            read = self.read([text for pair in slice_ for text in pair])
            found += [greedy(read[summary], read[reference]) for summary, reference in slice_]
        return torch.stack(found, dim=1) if found else torch.zeros(len(self.layers), 0, 3)

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> dict[str, Read]:
        """The tokens of each distinct text. Batches hold texts of like length, in an order that is always the same."""
        ids = {text: self._ids(text) for text in texts}
        order = sorted(ids, key=lambda text: (-len(ids[text]), text))
        marks = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        special = torch.tensor([each for each in marks if each is not None], dtype=torch.long)
        found = {}
        for start in range(0, len(order), BATCH):
            names = order[start : start + BATCH]
            batch = self.tokenizer.pad({"input_ids": [ids[name] for name in names]}, return_tensors="pt")
            hidden = self.model(**batch.to(self.device), output_hidden_states=True).hidden_states
            states = torch.stack([hidden[layer] for layer in self.layers], dim=1).float().cpu()
            for name, each in zip(names, torch.nn.functional.normalize(states, dim=-1), strict=True):
                counted = ~torch.isin(torch.tensor(ids[name]), special)
                found[name] = Read(each[:, : len(counted)].clone(), counted)  # or the whole batch would stay in memory
        return found

    def _ids(self, text: str) -> list[int]:
        from transformers import GPT2Tokenizer, RobertaTokenizer

        # to these a word after a space and the same word at the start of a text are two; the authors take the first
        space = " " if isinstance(self.tokenizer, GPT2Tokenizer | RobertaTokenizer) else ""
        return self.tokenizer(space + text.strip(), truncation=True, max_length=self.max_tokens)["input_ids"]


def greedy(summary: Read, reference: Read) -> Float[Tensor, "layers 3"]:
    """P, R and F1 of each layer; 0 where a text has no token but the special ones."""
    if not (summary.counted.any() and reference.counted.any()):
        return torch.zeros(len(summary.states), 3)
    likeness = summary.states @ reference.states.transpose(1, 2)
    precision = likeness.amax(dim=2)[:, summary.counted].mean(dim=1)
    recall = likeness.amax(dim=1)[:, reference.counted].mean(dim=1)
    f1 = 2 * precision * recall / (precision + recall)
    return torch.stack([precision, recall, f1.nan_to_num(0)], dim=1)


def find(encoder: str) -> Path:
    """The folder of `encoder`: owner/model@commit of the hub, or a folder on this machine.

    Raises ModelError where it cannot be fetched, or is no folder with a model in it.
    """
    if on_hub := HUB.fullmatch(encoder):
        return hub.fetch(hub.Options(kind="hub", **on_hub.groupdict()), resolve.cache() / "models")
    if not (Path(encoder) / "config.json").is_file():
        raise ModelError(
            f"evaluate.metrics: bertscore.encoder: '{encoder}' is neither a folder with a config.json nor a model\n"
            "write owner/model@ and the 40 digits of a commit, or null for the section `encoder`"
        )
    return Path(encoder)


def weights(folder: Path) -> str:
    """The start of the sha256 of each file of weights in `folder`, as `resolve.identity` writes it."""
    return "+".join(artifacts.sha256(file)[:16] for file in sorted(folder.glob("*.safetensors")))


def recommended(name: str, last: int) -> int:
    """The layer that the authors chose on human judgements for the model `name`; for one they do not list, `last`."""
    from bert_score.utils import model2layers

    return next((model2layers[each] for each in (name, name.rpartition("/")[2]) if each in model2layers), last)


def layers(folder: Path) -> int:
    """How many layers the encoder in `folder` has. Raises ModelError if it is not one that this measure can use."""
    settings = artifacts.read_json(folder / "config.json")
    if settings.get("is_encoder_decoder") or "num_hidden_layers" not in settings:
        raise ModelError(
            f"{folder.name}: {settings.get('model_type')} is not an encoder of one stack of layers\n"
            "choose one of the BERT family for evaluate.metrics: bertscore.encoder"
        )
    return int(settings["num_hidden_layers"])


def load(folder: Path, wanted: Sequence[int]) -> Matcher:
    """The encoder in `folder`, in fp32 on the accelerator if there is one, to compare states after layers `wanted`.

    Layer 0 is the embeddings. Raises ModelError if there is no such layer, or the model is of another kind.
    """
    from transformers import AutoModel, AutoTokenizer

    known = layers(folder)
    if wrong := [layer for layer in wanted if not 0 <= layer <= known]:
        raise ModelError(f"{folder.name}: it has layers 0 to {known}, not {wrong[0]}; see evaluate.metrics: bertscore")
    compute.quiet()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = AutoModel.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    positions = getattr(model.config, "max_position_embeddings", None) or MAX_TOKENS
    limit = min(MAX_TOKENS, tokenizer.model_max_length, positions)  # where none is set, it is 1e30: too much for Rust
    return Matcher(model.eval().to(device), tokenizer, tuple(wanted), limit, device)
