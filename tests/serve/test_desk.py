"""The queue and its worker."""

import asyncio

import pytest

from breviary.serve.desk import Desk, Full
from breviary.serve.schema import Asked, Failed, Finished


def asked(text="A document. With words."):
    return Asked(text=text)


async def all_of(job):
    return [event async for event in job.events()]


async def stuck(fake, waiting=4):
    """A desk whose worker is at its first request until `fake.gate` is set, and that request."""
    fake.gate.clear()
    desk = Desk(fake, waiting, report=print)
    job = desk.take(asked())
    while not desk.busy:
        await asyncio.sleep(0.01)
    return desk, job


def test_a_dropped_request_is_not_begun(fake):
    async def play():
        fake.gate.clear()
        desk = Desk(fake, 4, report=print)
        first, second = desk.take(asked()), desk.take(asked("Another. One."))
        second.drop()
        fake.gate.set()
        events = await all_of(first), await all_of(second)
        desk.close(5.0)
        return events

    first, second = asyncio.run(play())
    assert isinstance(first[-1], Finished)
    assert second == []
    assert len(fake.seen) == 1


def test_a_request_that_is_dropped_while_it_is_answered_ends_early(fake):
    async def play():
        desk, job = await stuck(fake)
        job.drop()
        events = await all_of(job)
        desk.close(5.0)
        return events

    assert asyncio.run(play()) == []


def test_no_more_wait_than_may(fake):
    async def play():
        desk, _ = await stuck(fake, waiting=2)
        desk.take(asked()), desk.take(asked())
        with pytest.raises(Full):
            desk.take(asked())
        assert desk.waiting == 2
        fake.gate.set()
        desk.close(5.0)

    asyncio.run(play())


def test_stopping_refuses_what_waits_lets_the_current_one_end_and_takes_no_more(fake):
    async def play():
        desk, current = await stuck(fake)
        waiting = desk.take(asked())
        closing = asyncio.ensure_future(asyncio.to_thread(desk.close, 5.0))
        refused = await all_of(waiting)
        fake.gate.set()
        done = await all_of(current)
        await closing
        with pytest.raises(Full):
            desk.take(asked())
        return refused, done

    refused, done = asyncio.run(play())
    assert [type(event) for event in refused] == [Failed]
    assert isinstance(done[-1], Finished)


def test_a_request_that_does_not_end_is_ended_when_patience_is_over(fake):
    async def play():
        desk, job = await stuck(fake)
        await asyncio.to_thread(desk.close, 0.1)
        return await all_of(job), job.stop.is_set()

    assert asyncio.run(play()) == ([], True)


def test_a_fault_is_reported_in_full_and_the_worker_goes_on(fake):
    reported = []

    async def play():
        desk = Desk(fake, 4, report=reported.append)
        crashed, fine = desk.take(asked("crash")), desk.take(asked())
        events = await all_of(crashed), await all_of(fine)
        desk.close(5.0)
        return events

    crashed, fine = asyncio.run(play())
    assert [type(event) for event in crashed] == [Failed]
    assert isinstance(fine[-1], Finished)
    assert isinstance(reported[0], ZeroDivisionError)
