"""Natural language inference: whether a hypothesis follows from a premise, contradicts it, or neither.

Any sequence classifier whose config names its classes serves. Models order them differently (MNLI fine-tunes of one and
the same backbone both ways), so that the places are looked up by name and never assumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray
from tqdm import tqdm

from breviary import catalogue
from breviary.errors import ModelError
from breviary.model import compute, resolve

LONGEST = 512  # tokens of premise, hypothesis and special tokens; what such models were trained on


@dataclass(frozen=True)
class Judge:
    """A loaded classifier, and where it keeps the two classes that matter."""

    model: Any  # transformers' PreTrainedModel: its class depends on the folder
    tokenizer: Any
    device: torch.device
    entailment: int
    contradiction: int
    max_tokens: int  # of both texts and the special tokens

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """For each token of `text`, the characters (start, end) that it covers."""
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return found["offset_mapping"]

    @property
    def special_tokens(self) -> int:
        """How many tokens a pair has beside those of its texts."""
        return self.tokenizer.num_special_tokens_to_add(pair=True)

    @torch.no_grad()
    def balance(self, pairs: Sequence[tuple[str, str]], batch_size: int) -> Float[ndarray, " pairs"]:
        """p(entailment) - p(contradiction) of each (premise, hypothesis), from -1 to 1.

        Raises ModelError where a pair has more than `max_tokens`: cutting it would judge another text.
        """
        encoded = [self.tokenizer(premise, hypothesis, verbose=False) for premise, hypothesis in pairs]
        lengths = [len(each["input_ids"]) for each in encoded]
        if max(lengths, default=0) > self.max_tokens:
            raise ModelError(f"a pair has {max(lengths)} tokens, and the model reads {self.max_tokens}")
        out = torch.zeros(len(pairs))
        order = sorted(range(len(pairs)), key=lambda place: -lengths[place])  # of like length: little padding
        for start in tqdm(range(0, len(order), batch_size), disable=None, unit="batches", desc="nli"):
            places = order[start : start + batch_size]
            batch = self.tokenizer.pad([encoded[place] for place in places], return_tensors="pt").to(self.device)
            chances = self.model(**batch).logits.float().softmax(dim=-1).cpu()
            out[places] = chances[:, self.entailment] - chances[:, self.contradiction]
        return out.numpy()


def fetch(options: Any) -> Path:
    """The folder of the model that the options of a kind of backbone name. Raises ModelError if it cannot be had."""
    return catalogue.resolve(resolve.BACKBONES, options.kind).fetch(options, resolve.cache() / "models")


def load(folder: Path) -> Judge:
    """The classifier in `folder`, in fp32. Raises ModelError if it is none, or does not say which class is which."""
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    compute.quiet()
    local: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    try:
        config = AutoConfig.from_pretrained(folder, **local)
        places = places_of({int(place): label for place, label in (config.id2label or {}).items()}, folder.name)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, **local
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder.name}: not a sequence classifier with its tokenizer: {error}") from None
    longest = min(LONGEST, getattr(config, "max_position_embeddings", 0) or LONGEST)  # DeBERTa may have 0: any length
    return Judge(model.eval().to(device), tokenizer, device, *places, max_tokens=longest)


def places_of(labels: Mapping[int, str], name: str) -> tuple[int, int]:
    """Which class is entailment and which contradiction, by their names.

    Raises ModelError unless exactly one class is each: `LABEL_0` says nothing, and "not_entailment" is neither.
    """
    found = []
    for wanted in ("entail", "contradict"):
        places = [place for place, label in sorted(labels.items()) if label.lower().startswith(wanted)]
        if len(places) != 1:
            said = ", ".join(f"{place}: {label}" for place, label in sorted(labels.items()))
            raise ModelError(
                f"{name}: its classes ({said}) do not say which one is {wanted}ion; choose a model of entailment, "
                "neutral and contradiction whose config.json names them in id2label"
            )
        found += places
    return found[0], found[1]
