import asyncio
from typing import Any

import pytest

from server.jwks.flight import Flight, WaitingRoom
from server.jwks.outcomes import Result, Trigger
from tests.fakes import FakeClock, settle


class Flown:
    """A flight that lands when it is told to."""

    def __init__(self, trigger: Trigger = Trigger.UNKNOWN_KEY, *, began: float = 0) -> None:
        self.landed: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.flight = Flight(trigger, began, asyncio.create_task(self._fly()))

    async def _fly(self) -> Result:
        return await self.landed

    async def land(self, result: Result = Result.OK) -> Flight:
        self.landed.set_result(result)
        await self.flight.task
        return self.flight


@pytest.fixture
def room(clock: FakeClock) -> WaitingRoom:
    return WaitingRoom(sleep=clock.sleep)


async def test_a_waiter_waits_until_the_flight_has_ended(room: WaitingRoom) -> None:
    flown = Flown()
    waiting = asyncio.create_task(room.wait_for(flown.flight, seconds=1))
    await settle()
    assert not waiting.done()

    await flown.land()

    assert await waiting


async def test_a_waiter_waits_no_longer_than_it_may(room: WaitingRoom, clock: FakeClock) -> None:
    flown = Flown()
    waiting = asyncio.create_task(room.wait_for(flown.flight, seconds=1))

    await clock.advance(1)

    assert not await waiting
    assert not flown.flight.task.done(), "the flight goes on"
    await flown.land()


async def test_there_is_room_for_so_many_and_for_others_when_they_have_left(
    room: WaitingRoom, clock: FakeClock
) -> None:
    flown = Flown()
    waiting = [asyncio.create_task(room.wait_for(flown.flight, seconds=1)) for _ in range(1024)]
    await settle()

    assert not await room.wait_for(flown.flight, seconds=1), "at once"
    waiting.pop().cancel()
    await settle()
    late = asyncio.create_task(room.wait_for(flown.flight, seconds=1))
    await settle()
    await flown.land()

    assert all(await asyncio.gather(late, *waiting))


@pytest.mark.parametrize(
    ("trigger", "began", "result", "settles"),
    [
        (Trigger.UNKNOWN_KEY, 10, Result.OK, True),
        (Trigger.FORCED, 11, Result.NOT_MODIFIED, True),
        (Trigger.UNKNOWN_KEY, 10, Result.FAILED, True),
        (Trigger.UNKNOWN_KEY, 9, Result.OK, False),
        (Trigger.TIMER, 10, Result.OK, False),
        (Trigger.START, 10, Result.OK, False),
        (Trigger.UNKNOWN_KEY, 10, Result.TAKEN_OVER, False),
    ],
)
async def test_only_the_issuer_itself_asked_afterwards_settles_what_it_has(
    trigger: Trigger, began: float, result: Any, settles: bool
) -> None:
    flight = await Flown(trigger, began=began).land(result)

    assert flight.settles(since=10) is settles


async def test_a_flight_that_was_cancelled_has_failed() -> None:
    flight = Flown().flight
    flight.task.cancel()
    await asyncio.wait([flight.task])

    assert flight.result is Result.FAILED
