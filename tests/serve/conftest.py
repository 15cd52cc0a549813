"""A project with a tiny model, its adapters and their measurements, and a registry of its own; and a service whose
model is a function, which answers with the document's first words, piece by piece."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from breviary import artifacts, config
from breviary.errors import DataError
from breviary.evaluate.dossier import Dossier
from breviary.evaluate.scoring import Scored
from breviary.model import adapt
from breviary.registry import versions
from breviary.serve import app as service
from breviary.serve import registered
from breviary.serve.candidate import Candidate
from breviary.serve.desk import Desk, Job
from breviary.serve.schema import Answer, Event, Finished, Model, Offer, Piece, Progress, Sentence, Span
from breviary.tracking import store
from tests.projects import SUMMARISING, enter

PARAMS = (
    SUMMARISING
    + """
budget:
  profiles: {quality: {beams: 2}, greedy: {beams: 1, no_repeat_ngram: 3}}
  profile: greedy
  max_tokens: 60
  max_ms: null
  min_tokens: 4
  reserve: 0.1
  batch_size: 2
"""
)
DOCUMENTS = [(f"{domain}{at:02d}", domain, at) for domain in ("paper", "talk") for at in range(10)]


@pytest.fixture(scope="session")
def registry_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}"


@pytest.fixture
def connection(tmp_path: Path, registry_database: str, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> store.Connection:
    """The registry, in a project that is the current folder, with the tiny backbone in the model cache."""
    enter(monkeypatch, tmp_path)
    monkeypatch.setenv("BREVIARY_CACHE", str(tiny.cache))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_database)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", tmp_path.name)
    shutil.copyfile(tiny.record, _made(tmp_path / "models") / "base.json")
    (tmp_path / "params.yaml").write_text(PARAMS)
    return versions.opened()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def measured() -> Callable[..., Dossier]:
    """What a model with these means is known to have done."""

    def measure(model: str, *, rouge: float = 0.3, nats: float = 4.0) -> Dossier:
        records = [
            Scored(
                name,
                domain,
                model,
                {"rouge1": rouge + 0.01 * at, "summary_nats": nats + 0.1 * at, "text_nats": 5.0, "phrase": 0.1},
            )
            for name, domain, at in DOCUMENTS
        ]
        return Dossier(model, records, {"rouge": {"stemmer": True}})

    return measure


@pytest.fixture
def trained(connection: store.Connection, tiny: Any, tmp_path: Path) -> Callable[[int, Dossier], Candidate]:
    """Trains, so to speak: another seed is another adapter, with the receipts of its stages."""

    def train(seed: int, measured: Dossier) -> Candidate:
        adapt.save(tiny.adapted(seed=seed), tmp_path / "models/phase3", tiny.identity)
        for name in ("train_phase3", "mix", "register"):
            artifacts.write_json(
                tmp_path / f"runs/{name}.json", {"stage": name, "key": f"{tmp_path.name}-{name}-{seed}"}
            )
        params: config.Params = registered.params(Path("params.yaml"))
        adapter, base = Path("models/phase3"), Path("models/base.json")
        return Candidate(tmp_path.name, adapter, base, params, measured, "train_phase3", Path("runs"))

    return train


OFFER = Offer(
    models=[Model(name="champion", hash="c0ffee"), Model(name="base", hash="bead")],
    profiles=["quality", "fast"],
    modes=["map_reduce", "extract", "refine", "truncate"],
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
                profile=job.asked.profile or "fast",
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
