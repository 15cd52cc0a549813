"""The most memory that this process has used: a peak, where MLflow's system metrics give a mean over an interval."""

import resource
import sys
from pathlib import Path


def peak_memory() -> dict[str, float]:
    """Most memory this process has used so far, in MiB: resident, and on the GPU where there is one."""
    found = {"peak_resident_mib": _peak_resident() / 2**20}
    torch = sys.modules.get("torch")  # a stage that never imported it has nothing on a GPU
    if torch is not None and torch.cuda.is_available():
        found["peak_cuda_allocated_mib"] = torch.cuda.max_memory_allocated() / 2**20
        found["peak_cuda_reserved_mib"] = torch.cuda.max_memory_reserved() / 2**20
    return found


def _peak_resident() -> float:
    """Bytes. ru_maxrss only where there is no better: across exec it keeps the peak of the process that came before."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
