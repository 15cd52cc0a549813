"""What this machine has, and a refusal before any work where that is too little."""

import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path

from breviary.errors import ResourceError
from breviary.model.memory import GB, Estimate


@dataclass(frozen=True)
class Memory:
    """What there is to put a model into."""

    place: str
    size: int  # bytes, all of it
    free: int  # bytes


def available() -> Memory:
    """The memory of this process's GPU where there is one, else this machine's, or what its container may use of it.

    What this process could have again for the asking counts as free: blocks of torch's that hold nothing any more.
    """
    import psutil
    import torch

    if torch.cuda.is_available():
        device = min(int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count() - 1)
        free, size = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return Memory(torch.cuda.get_device_name(device), size, free + idle)
    machine = psutil.virtual_memory()
    limit, used = _container()
    return Memory("RAM", min(machine.total, limit), min(machine.available, limit - used))


def has_bf16() -> bool:
    """Whether there are instructions for bf16; without them it is emulated, and slower than fp32."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags.read_text().split())


def _container(root: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """(limit, used) of the container's memory in bytes; no limit is `sys.maxsize`.

    Without the cached content of files, which the kernel counts as used and gives back when it is needed.
    """
    for folder, limit, used, cached in (
        (root, "memory.max", "memory.current", ""),
        (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    ):
        if (folder / limit).is_file() and (folder / limit).read_text().strip().isdigit():
            return int((folder / limit).read_text()), int((folder / used).read_text()) - _cached(folder, cached)
    return sys.maxsize, 0


def _cached(folder: Path, prefix: str) -> int:
    stat = folder / "memory.stat"
    lines = (line.split() for line in stat.read_text().splitlines()) if stat.is_file() else []
    counted = {f"{prefix}active_file", f"{prefix}inactive_file"}
    return sum(int(value) for name, value in lines if name in counted)


def require(what: str, needed: Estimate, found: Memory) -> None:
    """Raise ResourceError, before any work, where `needed` is more than there is; `what` names the stage."""
    if needed.total > found.free:
        largest = max(fields(needed), key=lambda part: getattr(needed, part.name)).name
        raise ResourceError(
            f"{what} needs about {needed.total / GB:.1f} GB, and {found.place} has {found.free / GB:.1f} GB free of "
            f"{found.size / GB:.1f} ({_parts(needed)}); {REMEDIES[largest]}"
        )


REMEDIES = {
    "weights": "choose compute.quantisation: nf4, compute.precision: bf16 or a smaller backbone",
    "adapter": "lower adapter.rank, or choose optimizer.kind: adamw_8bit",
    "activations": "lower micro_batch (predict.batch_size, likelihood.batch_size, budget.batch_size) or "
    "prompt.max_tokens, or set gradient_checkpointing: true",
    "logits": "lower micro_batch (predict.batch_size), prompt.max_summary_tokens or likelihood.text_tokens",
    "runtime": "close other programs",
}


def _parts(estimate: Estimate) -> str:
    return ", ".join(f"{part.name} {getattr(estimate, part.name) / GB:.1f}" for part in fields(estimate))


def require_disk(what: str, folder: Path, needed: int) -> None:
    """Raise ResourceError where the disk of `folder` has fewer than `needed` bytes free."""
    import shutil

    there = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ResourceError(
            f"{what} needs {needed / GB:.1f} GB of disk, and {os.fspath(there)} has {free / GB:.1f} GB free; "
            "make room, or set BREVIARY_CACHE to a folder on another disk"
        )
