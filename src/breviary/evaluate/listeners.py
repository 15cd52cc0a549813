"""Who says whether two summaries are alike: the encoder that mined the pairs, and one that had no part in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from breviary.evaluate import consistency, latent
from breviary.evaluate.measured import Given
from breviary.records import Chunk, Pair

TRAIN = "train"
QUANTITIES = ("matched", "control", "difference")


def heard(
    summaries: Mapping[str, Mapping[str, str]],
    pairs: Sequence[Pair],
    chunks: Sequence[Chunk],
    given: Given,
    **chance: Any,
) -> dict[str, Any]:
    """The consistency of each model over `pairs` (see `consistency.py`) by both encoders, and their settings, as JSON.

    Latent semantic analysis learns from the training chunks. Raises DataError where they are too few.
    """
    from breviary.model import encoder

    miner = encoder.load(given.encoder())
    encoders = {
        "miner": lambda texts: miner.encode(texts).numpy(),
        "lsa": latent.fit([each.text for each in chunks if each.split == TRAIN]),
    }
    found = consistency.consistency(summaries, pairs, encoders, **chance)
    settings = {"miner": given.encoder_id(), "lsa": latent.settings()}
    return {"consistency": consistency.as_json(found), "settings": settings}


def tracked(found: Mapping[str, Any]) -> dict[str, float]:
    """`<encoder>/<quantity>/<model>` for each that there is."""
    return {
        f"{encoder}/{name}/{model}": measured[name]["value"]
        for encoder, models in found["consistency"].items()
        for model, measured in models.items()
        for name in QUANTITIES
        if measured[name]
    }


def terminal(found: Mapping[str, Any]) -> str:
    """A block for each encoder, a row for each model."""
    blocks = []
    for encoder, models in found["consistency"].items():
        pairs = max((measured["pairs"] for measured in models.values()), default=0)
        lines = [f"{f'{encoder} ({pairs} pairs)':<18}" + "".join(f"{name:>12}" for name in QUANTITIES)]
        for model, measured in models.items():
            cells = (f"{measured[name]['value']:12.3f}" if measured[name] else f"{'-':>12}" for name in QUANTITIES)
            lines.append(f"{model:<18}" + "".join(cells))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
