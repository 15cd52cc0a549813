"""Launches that share a model out among GPUs: which of them the loop can train in, and what it has to do there.

Every method takes the adapter's weights and gradients as whole tensors: EWC adds its own gradient, OPLoRA projects
gradient and weights, clipping measures one norm, checkpoints and anchors are what PEFT saves. So the adapter is whole
in every process, and only the backbone, which nothing writes, may be sharded:

    DDP        the whole backbone in every process
    FSDP 2     the backbone in shards, the adapter among `fsdp_ignored_modules`: FSDP leaves it alone, so that its
               gradient is averaged here
    FSDP 1     lays frozen and trained weights of a layer end to end, and cuts where it likes: refused
    DeepSpeed  takes the optimiser step inside backward, before anything could act on the gradient: refused

docs/SCALE.md says what each would save. `accelerate launch` tells its processes by environment variables.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

from breviary.learn.curriculum import Options

MODULES = tuple(f"base_model.model.model.layers.0.self_attn.q_proj.lora_{factor}" for factor in "AB")
INSTEAD = "launch with configs/accelerate/ddp.yaml"


def problems(
    phases: Mapping[str, Options], quantisation: str, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """A line for each thing that `phases` (by section) ask for and this launch would do wrong."""
    if _on(environment, "ACCELERATE_USE_DEEPSPEED"):
        stage = environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "?")
        return [
            f"accelerate: DeepSpeed (ZeRO-{stage}) takes the optimiser step inside backward, on shards of the adapter: "
            "no constraint, penalty or limit of the gradient would act on it; launch with configs/accelerate/ddp.yaml, "
            "or fsdp.yaml, which shards the backbone as ZeRO-3 does"
        ]
    if not _on(environment, "ACCELERATE_USE_FSDP"):
        return []
    found = [f"accelerate: {said}" for said in _wrong_fsdp(environment)]
    if quantisation != "none":
        found.append(f"compute.quantisation: FSDP does not shard {quantisation} weights; {INSTEAD}")
    return found + [
        f"{name}.terms.contrastive: its projection heads lie outside the model that FSDP prepares; {INSTEAD}"
        for name, options in phases.items()
        if "contrastive" in options.terms
    ]


def _wrong_fsdp(environment: Mapping[str, str]) -> list[str]:
    found = []
    if environment.get("FSDP_VERSION", "1") != "2":
        found.append("FSDP 1 cuts the adapter's matrices to pieces; set fsdp_version: 2")
    ignored = environment.get("FSDP_IGNORED_MODULES", "")
    if not all(re.fullmatch(ignored, module) for module in MODULES):
        found.append(
            "the adapter would be sharded, and every method takes it whole; set fsdp_ignored_modules: '.*\\.lora_[AB]'"
        )
    for key in ("CPU_RAM_EFFICIENT_LOADING", "OFFLOAD_PARAMS"):
        if _on(environment, f"FSDP_{key}"):
            found.append(f"the adapter would be loaded or kept elsewhere than it is trained; unset fsdp_{key.lower()}")
    return found


def average(model: Any, accelerator: Any) -> None:
    """Average the adapter's gradients over all processes, where the backbone is in shards and nobody else does it."""
    import torch
    from accelerate.utils import DistributedType

    if accelerator.distributed_type != DistributedType.FSDP:
        return
    for weight in model.parameters():  # in the same order in every process
        if weight.requires_grad:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            torch.distributed.all_reduce(weight.grad)
            weight.grad /= accelerator.num_processes


def _on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("true", "1", "yes")
