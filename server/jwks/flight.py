"""One fetch for all who want it, and those who wait for it: so many, and so long."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.jwks.outcomes import Result, Trigger

_MOST_WAITERS = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """
    A fetch that is under way.

    Attributes:
        began: on the monotonic clock, in seconds.
    """

    trigger: Trigger
    began: float
    task: asyncio.Task[Result]

    @property
    def result(self) -> Result:
        """What became of it, once it has ended."""
        return Result.FAILED if self.task.cancelled() else self.task.result()

    def settles(self, *, since: float) -> bool:
        """Tell whether the issuer itself was asked after *since*, and caches to step aside."""
        return (
            self.trigger in {Trigger.UNKNOWN_KEY, Trigger.FORCED}
            and self.began >= since
            and self.result is not Result.TAKEN_OVER
        )


class WaitingRoom:
    """Where requests wait for a flight: 1,024 at most, none for longer than it may."""

    def __init__(self, *, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep
        self._waiters = 0

    async def wait_for(self, flight: Flight, *, seconds: float) -> bool:
        """
        Wait until *flight* has ended; tell whether it has.

        A waiter that leaves does not take the flight along.

        Args:
            seconds: the longest wait.
        """
        if self._waiters >= _MOST_WAITERS:
            return False
        self._waiters += 1
        limit = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait([flight.task, limit], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters -= 1
            limit.cancel()
        return flight.task.done()
