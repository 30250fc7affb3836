"""
How a process ends: told once, it finishes what has begun, in bounded time; told again, at once.

The times of several processes are one above the other: requests, workers, the one that waits for
them.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from pydantic import Field

from server import logs
from server.settings import Seconds, Settings

# In seconds.  What is left to do beside requests, and to whom: with the usual settings all of it
# takes less than the ten that whoever stops us grants.
_GIVE_UP = 1.0
_END_WORKER = 1.7
_WAIT_FOR_WORKERS = 2.0
_END = 3.3
_AT_ONCE = 0.5
_LAST_LINES = 0.3


class StopSettings(Settings):
    """
    How the server ends.

    Attributes:
        drain_delay: how long it goes on as before once it has been told to stop, so that those who
            send it clients have time to see that it is not ready.
        shutdown_timeout: how long requests that have begun may take after that.
    """

    drain_delay: Annotated[Seconds, Field(le=3600)] = 0.0
    shutdown_timeout: Annotated[Seconds, Field(gt=0, le=3600)] = 6.0

    @property
    def give_up(self) -> float:
        """When requests are given up, after the delay."""
        return self.shutdown_timeout + _GIVE_UP

    @property
    def end(self) -> float:
        """When the process ends whatever its threads do, after it was told to stop."""
        return self.drain_delay + self.shutdown_timeout + _END

    @property
    def end_worker(self) -> float:
        """The same of a worker."""
        return self.drain_delay + self.shutdown_timeout + _END_WORKER

    @property
    def wait_for_workers(self) -> float:
        """When workers that have not ended hang, after they were told to stop."""
        return self.drain_delay + self.shutdown_timeout + _WAIT_FOR_WORKERS


def end_within(seconds: float) -> None:
    """
    End the process in so many seconds at the latest, by a thread of its own.

    A thread that a handler has left running would keep the process for as long as it likes, also
    after all else has ended: nothing takes this back.
    """
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    try:
        logs.close(_LAST_LINES)
    finally:
        os._exit(0)


class Signals:
    """
    What the process was told.

    Args:
        end: in seconds after it was told to stop.
        end_within: sees to it that the process ends in so many seconds.

    Attributes:
        stop: by SIGINT or SIGTERM, or by a terminal that has gone.
        at_once: to stop, while it did so already.
        reload: by SIGHUP.
    """

    def __init__(self, end: float, end_within: Callable[[float], None]) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()
        self.reload = asyncio.Event()
        self._end = end
        self._end_within = end_within

    def tell_to_stop(self) -> None:
        """Have it finish what has begun."""
        if not self.stop.is_set():
            self.stop.set()
            self._end_within(self._end)

    def tell_to_end(self) -> None:
        """Have it finish nothing."""
        self.stop.set()
        if not self.at_once.is_set():
            self.at_once.set()
            self._end_within(_AT_ONCE)

    def tell(self) -> None:
        """Do the first of these, or the second if that has been done."""
        if self.stop.is_set():
            self.tell_to_end()
        else:
            self.tell_to_stop()

    async def linger(self, seconds: float) -> None:
        """Wait for so long, unless it is to end at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.at_once.wait()
