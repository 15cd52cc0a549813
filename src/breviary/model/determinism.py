"""How far a run can be repeated: to the last bit, or up to rounding.

    bitwise       the same seed, params, threads and processes on the same machine give the same bytes
    statistical   the same up to the order in which numbers are added: other last bits, which training enlarges

A processor gives the same bytes for one number of threads, in fp32 and in bf16, and with several processes too: gloo
adds in a fixed order. A GPU does if every kernel does: cuBLAS needs a workspace of fixed size (CUBLAS_WORKSPACE_CONFIG;
cuBLAS documentation, "Results reproducibility"), torch must refuse a kernel that adds in no order rather than warn
(memory-efficient attention has both kinds, and takes the fast one where it may only warn), and there must be no kernel
that torch does not know of. `runtime.bitwise` asks for that.
"""

import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

from breviary import config

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
FIXED = (":4096:8", ":16:8")  # sizes with which cuBLAS gives the same bits again


@dataclass(frozen=True)
class Level:
    """What a run promises, and why it is no more or no less."""

    name: Literal["bitwise", "statistical"]
    reason: str

    def tags(self) -> dict[str, str]:
        """For the run's record."""
        return {"determinism": self.name, "determinism.reason": self.reason}


def level(
    *, gpu: bool, strict: bool, workspace: str | None, threads: int, processes: int, foreign: bool = False
) -> Level:
    """The level of a run. `strict`: torch refuses what adds in no order; `foreign`: bitsandbytes takes part."""
    if not gpu:
        together = f"{threads} threads" + (f" in each of {processes} processes" if processes > 1 else "")
        return Level("bitwise", f"on the CPU, with {together}")
    missing = [
        (not strict, "torch only warns of a kernel that adds in no order; runtime.bitwise: true makes it refuse"),
        (workspace not in FIXED, f"{WORKSPACE} is not one of {', '.join(FIXED)}"),
        (processes > 1, f"NCCL adds the gradients of {processes} processes in an order of its own choice"),
        (foreign, "torch cannot answer for the kernels of bitsandbytes"),
    ]
    reasons = [reason for holds, reason in missing if holds]
    if reasons:
        return Level("statistical", "on a GPU: " + "; ".join(reasons))
    return Level("bitwise", "on one GPU of the same kind, with deterministic kernels alone")


def enforce(runtime: config.Runtime, environment: MutableMapping[str, str] = os.environ) -> None:
    """Choose torch's deterministic kernels; with `runtime.bitwise`, let it stop where a GPU has none.

    To be called before anything touches CUDA: cuBLAS reads its setting when it starts.
    """
    import torch

    strict = runtime.bitwise and torch.cuda.is_available()
    if strict:
        environment.setdefault(WORKSPACE, FIXED[0])
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # nothing reads such memory, and filling it costs time
    torch.backends.cudnn.benchmark = False


def of(runtime: config.Runtime, *, quantisation: str, optimizer: str = "adamw", processes: int = 1) -> Level:
    """The level of a run on this machine, as params.yaml has it."""
    import torch

    gpu = torch.cuda.is_available()
    return level(
        gpu=gpu,
        strict=gpu and runtime.bitwise,
        workspace=os.environ.get(WORKSPACE, FIXED[0] if runtime.bitwise else None),
        threads=runtime.threads,
        processes=processes,
        foreign=quantisation != "none" or optimizer != "adamw",
    )
