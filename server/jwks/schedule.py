"""When an issuer's keys are fetched next: the arithmetic of the policy on a clock."""

import asyncio
from collections.abc import Awaitable, Callable

from server.jwks.policy import RefreshPolicy

_TICK = 0.01  # in seconds: less is no wait


class Schedule:
    """
    The time of the next refresh, which what happens moves.

    Attributes:
        due_at: on the monotonic clock, in seconds.
    """

    def __init__(
        self,
        policy: RefreshPolicy,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._now = now
        self._sleep = sleep
        self._random = random
        self._failures = 0
        self._moved = asyncio.Event()
        self.due_at = now()

    @property
    def due_in(self) -> float:
        """Give the seconds to the next refresh; none are left if it is due."""
        return max(0.0, self.due_at - self._now())

    def refreshed(self, *, asked_at: float, lifetime: float) -> None:
        """Move the next refresh ahead of the end of keys that were asked for at *asked_at*."""
        self._failures = 0
        self._move_to(asked_at + self._policy.refresh_in(lifetime, random=self._random()))

    def failed(self, *, retry_after: float | None) -> None:
        """Back off, or wait as long as the issuer asked for; in seconds, if it did."""
        self._failures += 1
        self._move_to(self._now() + self._delay(retry_after))

    def hasten(self, *, retry_after: float | None) -> None:
        """Try again soon after a refresh that was forced and failed, unless that is later."""
        self._failures += 1
        self._move_to(min(self.due_at, self._now() + self._delay(retry_after)))

    def _delay(self, retry_after: float | None) -> float:
        return self._policy.retry_in(self._failures, random=self._random(), retry_after=retry_after)

    async def wait(self, *, at_most: float) -> None:
        """Wait until the next refresh is due, until it is moved, or for *at_most* seconds."""
        self._moved.clear()
        waits = [
            asyncio.ensure_future(self._sleep(max(_TICK, min(self.due_in, at_most)))),
            asyncio.ensure_future(self._moved.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _move_to(self, due_at: float) -> None:
        self.due_at = due_at
        self._moved.set()
