"""Measures what a summary costs in time (`model/cost.py`), once for a model on a machine: seconds, not minutes.

Random tokens are as good as words: no arithmetic depends on them. The end of the text is forbidden, so that every run
writes what it is asked to. The median of a few steps is taken, and of two readings of a prompt the faster one, since
the first in a process sets things up. Prompt lookup is left out: what it saves depends on the text.

What was measured while other work kept the machine busy is used by the process that had to measure it, and forgotten:
kept, it would for good refuse requests that there is time for.
"""

import logging
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import StoppingCriteria

from breviary import artifacts
from breviary.data.prompts import Prompt
from breviary.data.tokens import Tokenizer
from breviary.model import cost, resolve
from breviary.model.generate import generate
from breviary.records import content_hash

FORMAT = 2  # raise it when what is measured changes, so that old files in the cache are left behind
STEPS = 5  # tokens of a measurement after the first
SHORT = 16  # tokens of a prompt that is next to none
BUSY = 0.2  # share of all processors that others take, from which on a measurement is not kept
log = logging.getLogger(__name__)

Clock = Callable[[], float]


class _Steps(StoppingCriteria):
    """Notes when each step ended."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.ended = clock, [clock()]

    def __call__(self, input_ids: Int[Tensor, "batch time"], scores: Any, **_: Any) -> Bool[Tensor, " batch"]:
        self.ended.append(self.clock())
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def measure(
    model: Any,
    tokenizer: Tokenizer,
    profiles: Mapping[str, Mapping[str, Any]],
    *,
    batch: int,
    max_tokens: int,
    clock: Clock = time.perf_counter,
) -> cost.Cost:
    """The cost of `model` for `profiles`, generation settings by name, up to `batch` prompts of `max_tokens` each."""

    def timed(settings: Mapping[str, Any], prompts: int, tokens: int) -> tuple[float, float]:
        """Milliseconds until the first token, and the median of a step after it."""
        draw, steps = random.Random(tokens), _Steps(clock)
        ids = [[draw.randrange(model.config.vocab_size) for _ in range(tokens)] for _ in range(prompts)]
        asked = {key: value for key, value in settings.items() if key != "prompt_lookup"}
        asked |= {"max_new_tokens": STEPS + 1, "min_new_tokens": STEPS + 1}
        generate(model, tokenizer, [Prompt(each, False) for each in ids], asked, watch=steps)
        taken = [1000 * (after - before) for before, after in zip(steps.ended, steps.ended[1:], strict=False)]
        return taken[0], statistics.median(taken[1:])

    greedy = {"do_sample": False}
    timed(greedy, 1, SHORT)  # the first run of a process sets things up
    read, long_step = {}, 0.0
    for tokens in sorted({min(SHORT, max_tokens), max(max_tokens // 3, 1), max_tokens}):
        first, second = timed(greedy, 1, tokens), timed(greedy, 1, tokens)
        read[tokens], long_step = min(first[0], second[0]), min(first[1], second[1])
    paces = {
        name: cost.Pace(
            int(settings.get("num_beams", 1)), {size: timed(settings, size, SHORT)[1] for size in sorted({1, batch})}
        )
        for name, settings in profiles.items()
    }
    short_step = min(timed(greedy, 1, SHORT)[1], long_step)
    return cost.Cost(read, (long_step - short_step) / max(max_tokens - SHORT, 1), paces)


def remembered(key: Sequence[str], measured: Callable[[], cost.Cost]) -> cost.Cost:
    """The cost that the model cache has under `key`, else `measured()`, which is then kept there.

    `key` names the model and how it is run; the machine is added here. A damaged file is measured again. What others
    took of the processors while it was measured decides whether it is kept (`BUSY`).
    """
    path = resolve.cache() / "costs" / f"{content_hash(str(FORMAT), machine(), *key)}.json"
    if path.is_file():
        try:
            return cost.from_json(artifacts.read_json(path))
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            path.unlink(missing_ok=True)
    log.warning("timing this model on this machine, for limits of time: some seconds, and only once")
    found, others = _watched(measured)
    if others < BUSY:
        artifacts.write_json(path, cost.to_json(found))
    else:
        log.warning("other work took %.0f%% of the processors meanwhile: these times are not kept", 100 * others)
    return found


def _watched(work: Callable[[], cost.Cost]) -> tuple[cost.Cost, float]:
    """What `work` gives, and what share of all processors other processes took meanwhile."""
    before, own, began = _at_work(), time.process_time(), time.perf_counter()
    found = work()
    others = (_at_work() - before) - (time.process_time() - own)
    return found, others / ((time.perf_counter() - began) * (os.cpu_count() or 1))


def _at_work() -> float:
    """Seconds that all processors together have worked since the machine was started."""
    import psutil

    times: Any = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def machine() -> str:
    """What the speed depends on, of this machine: processor, cores that may be used, GPU, and torch's version."""
    import psutil

    cores = len(psutil.Process().cpu_affinity() or ()) if hasattr(psutil.Process, "cpu_affinity") else 0
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return " ".join([platform.machine(), _processor(), str(cores), accelerator, torch.__version__])


def _processor() -> str:
    """The processor's own name: `platform.processor` has none on Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "") or (
        platform.processor()
    )
