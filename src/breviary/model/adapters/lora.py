"""Low-rank adaptation: a frozen weight gets a trainable update of low rank.

    h = W x + (alpha / rank) B A dropout(x)        A random (Kaiming), B zero, so that training starts at the backbone

Hu et al. 2021, arXiv:2106.09685; through PEFT. With `rank_stabilised` the factor is alpha / sqrt(rank), so that the
size of the update does not shrink with the rank (Kalajdzievski 2023, arXiv:2312.03732).
"""

from typing import Any, Literal

from pydantic import Field

from breviary import config
from breviary.errors import ConfigError


class Options(config.Options):
    """Rank, scale and the linear layers that are adapted, by the last part of their names."""

    kind: Literal["lora"]
    rank: int = Field(ge=1, le=1024)
    alpha: float = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    targets: list[str] = Field(min_length=1)
    rank_stabilised: bool = False


def create(model: Any, options: Options, seed: int) -> Any:
    """`model` with LoRA on every layer that `options.targets` names, A drawn from `seed`."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    missing = unmatched(model, options.targets)
    if missing:
        known = ", ".join(sorted(_linear(model)))
        raise ConfigError(f"adapter.targets: no linear layer is called {', '.join(missing)}; this backbone has {known}")
    settings = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=options.rank,
        lora_alpha=options.alpha,  # type: ignore[arg-type]  # PEFT divides it; a fraction is as good
        lora_dropout=options.dropout,
        target_modules=list(options.targets),
        use_rslora=options.rank_stabilised,
    )
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(seed)
        return get_peft_model(model, settings)


def unmatched(model: Any, targets: list[str]) -> list[str]:
    """The targets that no linear layer of `model` answers to."""
    known = _linear(model)
    return [target for target in targets if target not in known]


def _linear(model: Any) -> set[str]:
    """Last parts of the names of its linear layers (`nf`: GPT-2's kind, which is called Conv1D)."""
    return {
        name.rsplit(".")[-1]
        for name, module in model.named_modules()
        if hasattr(module, "in_features") or hasattr(module, "nf")
    }
