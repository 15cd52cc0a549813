"""What a summary costs in time, on one machine: milliseconds to read a prompt, and to write each token after it.

    reading one row of T tokens    a table by T, between whose lengths it is linear; beyond the last, as T^2
    reading `rows` rows            rows times that: a processor that is busy with one row is as busy with each
    one step of B prompts          a table by B, by profile; linear between its sizes, and beyond the last
                                   + context_ms * rows * tokens before it (keys and values that it reads)

rows = B * beams. Measured by `model/calibrate.py`; nothing is known here but the numbers.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Pace:
    """How fast one profile writes."""

    beams: int
    step_ms: dict[int, float]  # prompts generated together -> ms a step, next to no tokens before it


@dataclass(frozen=True)
class Cost:
    """The measurements of one model on one machine."""

    read_ms: dict[int, float]  # tokens of a prompt -> ms to read it and write the first token
    context_ms: float  # what each row adds to a step for each token before it
    paces: dict[str, Pace]  # by profile

    def reading(self, profile: str, prompts: int, tokens: int) -> float:
        """Milliseconds until the first token of `prompts` prompts of `tokens` each."""
        longest = max(self.read_ms)
        one = _between(self.read_ms, min(tokens, longest)) * max(tokens / longest, 1.0) ** 2
        return one * prompts * self.paces[profile].beams

    def step(self, profile: str, prompts: int, context: int) -> float:
        """Milliseconds of one more token of each summary, `context` tokens into it and its prompt."""
        pace = self.paces[profile]
        return _between(pace.step_ms, prompts) + self.context_ms * prompts * pace.beams * context

    def writing(self, profile: str, prompts: int, tokens: int, new_tokens: int) -> float:
        """Milliseconds from the first token to the last of `new_tokens`, after prompts of `tokens`."""
        return (new_tokens - 1) * self.step(profile, prompts, tokens + new_tokens // 2)


def _between(table: Mapping[int, float], place: int) -> float:
    """The value at `place`: on the line through its neighbours; below the first, in proportion, but half at least."""
    keys = sorted(table)
    if place <= keys[0]:
        return table[keys[0]] * max(place / keys[0], 0.5)
    if len(keys) == 1:
        return table[keys[0]] * place / keys[0]
    at = min(bisect_left(keys, place), len(keys) - 1)
    low, high = keys[at - 1], keys[at]
    slope = max(table[high] - table[low], 0.0) / (high - low)  # noise may make the larger one cheaper
    return table[low] + slope * (place - low)


def to_json(cost: Cost) -> dict[str, Any]:
    """As JSON has it, whose keys are text."""
    return asdict(cost) | {
        "read_ms": {str(tokens): ms for tokens, ms in cost.read_ms.items()},
        "paces": {
            name: {"beams": pace.beams, "step_ms": {str(size): ms for size, ms in pace.step_ms.items()}}
            for name, pace in cost.paces.items()
        },
    }


def from_json(values: Mapping[str, Any]) -> Cost:
    """What `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    return Cost(
        {int(tokens): float(ms) for tokens, ms in values["read_ms"].items()},
        float(values["context_ms"]),
        {
            name: Pace(int(pace["beams"]), {int(size): float(ms) for size, ms in pace["step_ms"].items()})
            for name, pace in values["paces"].items()
        },
    )
