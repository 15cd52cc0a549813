"""One worker and a queue before it: a model answers one request at a time, and no more wait than were allowed to.

    desk = Desk(answer, waiting=8)
    job = desk.take(asked)             # raises Full
    async for event in job.events():   # ends after the answer or the error
        ...
    job.drop()                         # nobody waits for it any more

`answer` runs in the worker's thread and is a generator of events; it looks at `job.stop` often, and ends early when it
is set. A request's clock starts when it is taken, so that time in the queue counts.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from queue import Empty, Full, Queue

from breviary.errors import BreviaryError
from breviary.serve.schema import Asked, Event, Failed

__all__ = ["Desk", "Full", "Job"]

Answerer = Callable[["Job"], Iterator[Event]]
LOST = "the service could not finish this; its log says more"


class Job:
    """One request on its way."""

    def __init__(self, asked: Asked, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = asked
        self.began = time.perf_counter()  # the clock of model/limit.py
        self.stop = threading.Event()
        self._loop, self._events = loop, asyncio.Queue[Event | None]()

    async def events(self) -> AsyncIterator[Event]:
        """What the worker says, as it says it."""
        while (event := await self._events.get()) is not None:
            yield event

    def drop(self) -> None:
        """Ask the worker to end this early, or not to begin it."""
        self.stop.set()

    def say(self, event: Event | None) -> None:
        """Called by the worker; None is the end. A client that is gone, and its loop with it, hears nothing."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Desk:
    """The worker and its queue."""

    def __init__(self, answer: Answerer, waiting: int, report: Callable[[BaseException], None]) -> None:
        self._answer, self._report = answer, report
        self._queue: Queue[Job | None] = Queue(waiting)
        self._current: Job | None = None
        self.stopping = False
        self._worker = threading.Thread(target=self._work, name="summarise", daemon=True)
        self._worker.start()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._current is not None

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return self._queue.qsize()

    def take(self, asked: Asked) -> Job:
        """Put a request in the queue. Raises Full where no more may wait, or the service is stopping."""
        if self.stopping:
            raise Full
        job = Job(asked, asyncio.get_running_loop())
        self._queue.put_nowait(job)
        return job

    def close(self, patience: float) -> None:
        """Refuse what waits, let the current request go on for `patience` seconds, then end it early."""
        self.stopping = True
        while not self._queue.empty():
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job:
                _refuse(job)
        self._queue.put(None)
        self._worker.join(patience)
        if current := self._current:
            current.drop()
        self._worker.join(patience)

    def _work(self) -> None:
        while job := self._queue.get():
            self._current = job
            try:
                self._serve(job)
            finally:
                self._current = None
                job.say(None)

    def _serve(self, job: Job) -> None:
        if job.stop.is_set():
            return
        try:
            for event in self._answer(job):
                job.say(event)
        except BreviaryError as error:
            job.say(Failed(detail=str(error)))
        except Exception as error:  # one bad request must not take the worker with it
            self._report(error)
            job.say(Failed(detail=LOST))


def _refuse(job: Job) -> None:
    job.say(Failed(detail="the service is stopping; ask again later"))
    job.say(None)
