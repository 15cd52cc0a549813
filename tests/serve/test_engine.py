"""The model behind the service: a real one of two random layers, asked through the desk."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from breviary import config
from breviary.errors import ConfigError
from breviary.model import adapt
from breviary.serve.desk import Desk
from breviary.serve.engine import Engine
from breviary.serve.schema import Asked, Failed, Finished, Progress
from breviary.summarise import asked
from tests.talking import teach

TEXT = "The old wall was built by hand. " * 30
SAID = "Bees dance. A wall stood here once; of it we know next to nothing. "


@pytest.fixture
def engine(connection, tiny, tmp_path, monkeypatch) -> Engine:
    sections = {name: config.SECTIONS[name] for name in asked.SECTIONS}
    monkeypatch.setattr(config, "read", partial(config.read, sections=sections))
    adapt.save(tiny.adapted(), tmp_path / "models/phase1", tiny.identity)
    return Engine(["phase1", "base"], max_ms=600_000)


def answer(engine: Engine, **wanted) -> list:
    async def play():
        desk = Desk(engine, 2, report=print)
        job = desk.take(Asked(**wanted))
        events = [event async for event in job.events()]
        await asyncio.to_thread(desk.close, 5.0)
        return events

    return asyncio.run(play())


def test_it_offers_what_there_is_and_what_each_is(engine):
    offer = engine.offer(1000)
    assert [model.name for model in offer.models] == ["phase1", "base"]
    assert len({model.hash for model in offer.models}) == 2
    assert offer.profiles == ["quality", "greedy"]
    assert offer.modes[0] == "map_reduce"
    assert {"vtt", "pdf", "md"} <= set(offer.formats)


@pytest.fixture
def talking(engine, monkeypatch) -> Engine:
    writer = engine.load("phase1").answerer.writer
    teach(monkeypatch, writer.model, writer.tokenizer, SAID)
    return engine


def test_a_document_is_read_part_by_part_and_answered(talking):
    engine = talking
    *told, last = answer(engine, text=TEXT, max_tokens=20)
    assert isinstance(last, Finished)
    assert last.answer.tokens <= 20
    assert (last.answer.model, last.answer.model_hash) == ("phase1", engine.models["phase1"].hash)
    assert (last.answer.profile, last.answer.mode) == ("greedy", "map_reduce")
    assert any(isinstance(event, Progress) for event in told)
    assert all(0 <= span.start < span.end <= len(TEXT) for each in last.answer.sentences for span in each.spans)


def test_one_model_is_in_memory_and_another_takes_its_place(engine):
    first = engine.load("phase1")
    assert engine.load("phase1") is first
    assert engine.load("base").model.name == "base"
    assert engine.load("phase1") is not first


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"text": "\u200b \n"}, "no words"),
        ({"text": TEXT, "max_tokens": 65}, "65 tokens are more than a summary may have"),
    ],
)
def test_what_cannot_be_answered_is_said(engine, wanted, message):
    (failed,) = answer(engine, **wanted)
    assert isinstance(failed, Failed)
    assert message in failed.detail


def test_a_request_may_not_take_longer_than_the_service_allows(engine):
    engine.max_ms = 0
    *_, last = answer(engine, text=TEXT)
    assert isinstance(last, Failed)
    assert "taken longer than it may" in last.detail


def test_a_request_without_a_limit_has_that_of_the_project(engine):
    loaded = engine.load("phase1")
    writer = loaded.answerer.writer
    limited = replace(writer, options=writer.options.model_copy(update={"max_ms": 1}))
    engine._loaded = replace(loaded, answerer=replace(loaded.answerer, writer=limited))
    *_, last = answer(engine, text=TEXT)
    assert isinstance(last, Failed)
    assert "allow more time" in last.detail


def test_what_the_model_costs_is_known_before_a_request_comes(engine):
    assert "cost" in vars(engine.load("phase1").answerer.writer)


def test_a_model_that_is_not_there_is_named(connection, monkeypatch):
    sections = {name: config.SECTIONS[name] for name in asked.SECTIONS}
    monkeypatch.setattr(config, "read", partial(config.read, sections=sections))
    with pytest.raises(ConfigError, match="no trained model 'phase9'"):
        Engine(["phase9"], max_ms=1)


def test_a_model_without_a_word_to_say_is_an_error_and_no_empty_summary(engine):
    *_, last = answer(engine, text=TEXT, max_tokens=20)
    assert isinstance(last, Failed)
    assert last.detail == "the model answered without a word; try another model, or ask for more tokens"


def test_the_text_of_a_request_is_taken_as_it_is(talking):
    """Spans are characters of what the client sent, whatever cleaning would have made of it."""
    sent = f"  {TEXT}\r\n\tEnd of it all. "
    *_, last = answer(talking, text=sent, max_tokens=20)
    assert all(span.end <= len(sent) for each in last.answer.sentences for span in each.spans)
