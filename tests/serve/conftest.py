"""A service whose model is a function: it answers with the document's first words, piece by piece."""

import threading
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from breviary.errors import DataError
from breviary.serve import app as service
from breviary.serve.desk import Desk, Job
from breviary.serve.schema import Answer, Event, Finished, Model, Offer, Piece, Progress, Sentence, Span

OFFER = Offer(
    models=[Model(name="champion", hash="c0ffee"), Model(name="base", hash="bead")],
    formats=["md", "txt"],
    max_bytes=200_000,
)


class Fake:
    """Says the first sentence of what it is given; waits at `gate` if told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.seen: list[Job] = []
        self.at_once = self.most = 0

    def __call__(self, job: Job) -> Iterator[Event]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.seen.append(job)
        try:
            yield from self._answer(job)
        finally:
            self.at_once -= 1

    def _answer(self, job: Job) -> Iterator[Event]:
        text = job.asked.text
        if "refuse" in text:
            raise DataError("this document is refused; send another")
        if "crash" in text:
            raise ZeroDivisionError("a fault of the model")
        while not self.gate.wait(0.02):
            if job.stop.is_set():
                return
        first = text.partition(".")[0][:200] + "."
        yield Progress(done=1, of=2)
        for word in first.split(" "):
            yield Piece(text=word + " ")
        name = job.asked.model or "champion"
        yield Finished(
            answer=Answer(
                summary=first,
                sentences=[Sentence(text=first, spans=[Span(start=0, end=min(len(text), len(first)))])],
                tokens=len(first.split()),
                milliseconds=1.0,
                profile=job.asked.profile,
                mode=job.asked.mode,
                model=name,
                model_hash="c0ffee",
                truncated=False,
                cut=False,
            )
        )


def read(name: str, raw: bytes) -> str:
    """The reader of uploaded files."""
    if not name.endswith((".md", ".txt")):
        raise DataError(f"{name}: its name ends in none of .md, .txt; rename or convert it")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise DataError(f"{name}: not UTF-8; convert it") from None


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def made(fake) -> Iterator[Callable[..., FastAPI]]:
    """Makes services on `fake`, and closes their desks."""
    desks: list[Desk] = []

    def make(waiting: int = 4, token: str | None = None) -> FastAPI:
        desks.append(Desk(fake, waiting, report=lambda error: None))
        return service.create(desks[-1], OFFER, read, service.Settings(("testserver", "127.0.0.1", "localhost"), token))

    yield make
    fake.gate.set()
    for desk in desks:
        desk.close(5.0)


@pytest.fixture
def client(made) -> Iterator[TestClient]:
    with TestClient(made()) as client:
        yield client
