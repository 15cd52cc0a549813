"""When an answer is due. The clock starts with the request, and not when the model starts to write.

What counts for whoever asks is the time since they asked: reading the document, waiting in a queue and reading the
prompt are inside it. transformers' `max_time` starts when `generate` has made its preparations, so that all of that
would come on top.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


def never() -> bool:
    """Nobody cancels."""
    return False


@dataclass(frozen=True)
class Limit:
    """The time that a request has, and whether anyone still waits for it."""

    due: float  # on `clock`, in seconds; infinite: no hurry
    clock: Callable[[], float]
    began: float  # on `clock`
    cancelled: Callable[[], bool] = never

    @property
    def ms(self) -> float | None:
        """Milliseconds that the request has in all; None: no limit."""
        return None if math.isinf(self.due) else 1000 * (self.due - self.began)

    @property
    def left_ms(self) -> float:
        """Milliseconds until the answer is due; below 0 when it is late."""
        return 1000 * (self.due - self.clock())

    @property
    def spent_ms(self) -> float:
        """Milliseconds since the request."""
        return 1000 * (self.clock() - self.began)

    def within(self, ms: float | int) -> "Limit":
        """The same request, with `ms` milliseconds from its beginning at most."""
        return Limit(min(self.due, self.began + ms / 1000), self.clock, self.began, self.cancelled)


def start(
    ms: float | int | None = None, cancelled: Callable[[], bool] = never, clock: Callable[[], float] = time.perf_counter
) -> Limit:
    """The limit of a request that comes in now and has `ms` milliseconds, or all the time there is."""
    now = clock()
    return Limit(math.inf if ms is None else now + ms / 1000, clock, now, cancelled)
