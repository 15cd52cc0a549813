"""What a teacher expects at each target of some rows: its k likeliest tokens, and the rest of its probability.

On disk, for each target: k token ids (2 bytes each where the vocabulary has at most 65,536 words, else 4), k log
probabilities and that of all other tokens (fp16, 2 bytes each). With k = 32 that is 130 bytes a target, against 98,304
for every one of 49,152 words. What fp16 rounds away is shared out again when they are read: each target's k + 1
probabilities sum to 1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from breviary.data.batches import Row, Taught, collate
from breviary.errors import ArtifactError, ConfigError
from breviary.learn import likelihood
from breviary.learn.forward import forward

FILE = "expectations.safetensors"
SMALL = 1 << 16  # token ids below this take two bytes


@torch.no_grad()
def ask(model: Any, rows: Sequence[Row], *, k: int, temperature: float, batch_size: int, pad: int) -> dict[str, Taught]:
    """What `model`, in evaluation mode, expects at the targets of each row, by example."""
    vocabulary = model.config.vocab_size
    if k > vocabulary:
        raise ConfigError(f"distill.logits.k: {k} tokens are asked for, of a vocabulary of {vocabulary}")
    found: dict[str, Taught] = {}
    with tqdm(total=len(rows), desc="expectations", unit="passages", disable=None) as bar:
        for planned in likelihood.batches(rows, batch_size, likelihood.POSITIONS):
            batch = collate(planned, pad).to(model.device)
            step = forward(model, batch)
            ids, log_p = likeliest(step.logits / temperature, k)
            for number, example in enumerate(batch.examples):
                own = step.rows == number
                found[example] = Taught(ids[own].cpu(), log_p[own].cpu())
            bar.update(len(planned))
    return found


def likeliest(
    logits: Float[Tensor, "targets vocab"], k: int
) -> tuple[Int[Tensor, "targets k"], Float[Tensor, "targets k+1"]]:
    """The k likeliest tokens, and the log of their probabilities and of that of all others, in nats."""
    total = logits.logsumexp(-1, keepdim=True)
    top, ids = logits.topk(k)
    others = logits.scatter(1, ids, -torch.inf).logsumexp(-1, keepdim=True)
    return ids, torch.cat([top, others], -1) - total


def save(taught: Mapping[str, Taught], path: Path, vocabulary: int) -> None:
    """Write them in the order of their names, one after another."""
    ordered = [taught[name] for name in sorted(taught)]
    width = torch.uint16 if vocabulary <= SMALL else torch.int32
    lowest = torch.finfo(torch.float16).min
    stored = {
        "ids": torch.cat([each.ids for each in ordered]).to(width),
        "log_p": torch.cat([each.log_p for each in ordered]).clamp(min=lowest).to(torch.float16),
    }
    save_file(stored, path)
    path.chmod(0o644)


def load(path: Path, counts: Mapping[str, int]) -> dict[str, Taught]:
    """What `save` wrote, given how many targets each name has. Raises ArtifactError where that is not as many."""
    stored = load_file(path)
    names = sorted(counts)
    sizes = [counts[name] for name in names]
    if len(stored["ids"]) != sum(sizes):
        raise ArtifactError(f"{path}: {len(stored['ids'])} targets, and the texts have {sum(sizes)}; delete the folder")
    ids, log_p = stored["ids"].to(torch.int64), stored["log_p"].to(torch.float32).log_softmax(-1)
    parts = zip(names, ids.split(sizes), log_p.split(sizes), strict=True)
    return {name: Taught(mine, theirs) for name, mine, theirs in parts}


def bytes_per_target(path: Path) -> float:
    """How much of the file each target takes, its header left out."""
    stored = load_file(path)
    return sum(each.element_size() * each.nelement() for each in stored.values()) / len(stored["ids"])
