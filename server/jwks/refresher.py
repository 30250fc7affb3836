"""Keeps one issuer's keys current: by the timer, for an unknown key, or because it was told to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from server.jwks.brake import UnknownKeyBrake
from server.jwks.document import JWKSFetchError
from server.jwks.flight import Flight
from server.jwks.journal import Journal, Result, Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.published import PublishedKeySet
from server.jwks.schedule import Schedule
from server.jwks.sharing import SharedKeys
from server.jwks.snapshot import NOTHING, Snapshot, State

# In seconds.
_LOOK_AGAIN = (0.02, 0.03, 0.05, 0.1, 0.1)
_RESTART = 1.0


class Fetch(Protocol):
    """Asks the issuer once; raises JWKSFetchError."""

    def __call__(
        self, held: PublishedKeySet | None, *, fresh: bool
    ) -> Awaitable[PublishedKeySet]: ...


class Refresher:
    """
    Fetches keys with *fetch*, one flight at a time, and shares them with other processes.

    Attributes:
        current: the keys; swapped by one assignment, so that readers never see half.
        flight: the fetch that is under way, if any.
        schedule: when the next one is due.
        is_failing: the issuer could not be asked when it was last tried.
    """

    def __init__(  # noqa: PLR0913 (its parts, and the outside world)
        self,
        fetch: Fetch,
        policy: RefreshPolicy,
        shared: SharedKeys,
        *,
        brake: UnknownKeyBrake,
        journal: Journal,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._fetch = fetch
        self._policy = policy
        self._shared = shared
        self._brake = brake
        self._journal = journal
        self._now = now
        self._sleep = sleep
        self.current = NOTHING
        self.flight: Flight | None = None
        self.is_failing = False
        self.schedule = Schedule(policy, now=now, sleep=sleep, random=random)

    @property
    def state(self) -> State:
        """Tell how far the keys can be relied on."""
        return self.current.state(now=self._now(), max_stale=self._policy.max_stale)

    async def run(self) -> NoReturn:
        """Keep the keys current until cancelled, whatever happens."""
        trigger = Trigger.START
        try:
            while True:
                try:
                    await self.refresh(trigger)
                    await self._wait_until_due()
                except Exception:  # noqa: BLE001 (logged with its traceback; we go on)
                    self._journal.crashed(trigger)
                    await self._sleep(_RESTART)
                trigger = Trigger.TIMER
        finally:
            if self.flight is not None:
                self.flight.task.cancel()

    async def refresh(self, trigger: Trigger) -> Result | None:
        """
        Fetch the keys, or wait for the fetch that is under way, and give what became of it.

        Nothing is given if another process had newer keys.  Who forces a refresh wants to know
        what the issuer publishes now: a flight that began before is not enough.
        """
        arrived = self._now()
        while trigger is Trigger.FORCED and self.flight is not None:
            if self.flight.trigger is trigger and self.flight.began >= arrived:
                break
            await asyncio.wait([self.flight.task])
        flight = self.flight or self.launch(trigger)
        await asyncio.wait([flight.task])
        return flight.result

    def launch(self, trigger: Trigger, key_id: str | None = None) -> Flight:
        """Begin a fetch; *key_id* is the key that it is for."""
        task = asyncio.create_task(self._fly(trigger, key_id))
        self.flight = Flight(trigger, self._now(), task)
        task.add_done_callback(self._landed)
        return self.flight

    def _landed(self, _task: asyncio.Task[Result | None]) -> None:
        self.flight = None

    async def _wait_until_due(self) -> None:
        while self.schedule.due_in > 0:
            left = self.current.time_left(now=self._now(), max_stale=self._policy.max_stale)
            await self.schedule.wait(at_most=left)
            self._journal.aged(self.state)

    async def _fly(self, trigger: Trigger, key_id: str | None) -> Result | None:
        try:
            return await self._refresh(trigger, key_id)
        except JWKSFetchError as error:
            return self._failed(trigger, str(error), retry_after=error.retry_after)
        except Exception:  # noqa: BLE001 (logged with its traceback; we go on)
            self._journal.crashed(trigger)
            return self._failed(trigger, "unexpected error", retry_after=None)

    async def _refresh(self, trigger: Trigger, key_id: str | None) -> Result | None:
        if trigger is Trigger.FORCED:
            return await self._ask_issuer(trigger)
        if await self._take_over(key_id):
            return None
        is_ours = await self._shared.claim()
        try:
            if await self._is_served_by_others(key_id, asking=not is_ours):
                return None
            return await self._ask_issuer(trigger)
        finally:
            if is_ours:
                self._shared.release()

    async def _is_served_by_others(self, key_id: str | None, *, asking: bool) -> bool:
        if not asking:
            # One of them may have finished between our look and our claim.
            return await self._take_over(key_id)
        for pause in _LOOK_AGAIN:
            await self._sleep(pause)
            if await self._take_over(key_id):
                return True
        return False

    async def _take_over(self, key_id: str | None) -> bool:
        """Adopt what another process shared, if it is newer; tell whether that is enough."""
        shared = await self._shared.get(now=self._now())
        if shared is None or not self.current.is_outdated_by(shared):
            return False
        lifetime = self._policy.lifetime(shared.headers)
        if self._now() - shared.asked_at >= lifetime + self._policy.max_stale:
            return False
        self._adopt(shared, Trigger.TIMER)
        self._journal.taken_over(shared.keys)
        if key_id is None:
            return self.schedule.due_in > 0
        if is_known := self.current.keys.knows(key_id):
            self._brake.give_back()
        return is_known

    async def _ask_issuer(self, trigger: Trigger) -> Result:
        before = self.current
        # A key that we do not know proves that what we hold is out of date, whatever a coarse
        # validator says: no conditions then.
        held = None if trigger is Trigger.UNKNOWN_KEY else before.published
        is_urgent = trigger in {Trigger.UNKNOWN_KEY, Trigger.FORCED}
        published = await self._fetch(held, fresh=is_urgent)
        if before.is_newer_than(published) and not is_urgent:
            # A cache on the way still has what we know to be out of date.
            published = await self._fetch(None, fresh=True)
        lifetime = self._adopt(published, trigger)
        self._shared.put(published, now=self._now(), keep_for=lifetime + self._policy.max_stale)
        is_confirmed = held is not None and published.keys is held.keys  # the very same: a 304
        result = Result.NOT_MODIFIED if is_confirmed else Result.OK
        self._journal.refreshed(trigger, result, published.keys)
        return result

    def _adopt(self, published: PublishedKeySet, trigger: Trigger) -> float:
        lifetime = self._policy.lifetime(published.headers)
        before = self.current
        self.current = before.succeeded_by(published, lifetime=lifetime)
        self.is_failing = False
        self.schedule.refreshed(asked_at=published.asked_at, lifetime=lifetime)
        self._journal.ignored(published.keys.unfit)
        self._journal.aged(self.state)
        if self.current.generation != before.generation:
            self._note_change(before, trigger)
        return lifetime

    def _note_change(self, before: Snapshot, trigger: Trigger) -> None:
        added = self.current.names_missing_from(before)
        removed = before.names_missing_from(self.current)
        if trigger is Trigger.UNKNOWN_KEY:
            self._brake.reward(added, now=self._now())
        self._brake.learn_change(added=added, removed=removed)
        if before.generation:
            self._journal.rotated(added=added, removed=removed)

    def _failed(self, trigger: Trigger, cause: str, *, retry_after: float | None) -> Result:
        self.is_failing = True
        if trigger in {Trigger.START, Trigger.TIMER}:
            # Others move nothing: the timer has its own pace.
            self.schedule.failed(retry_after=retry_after)
        self._journal.failed(trigger, cause, retry_in=self.schedule.due_in)
        self._journal.aged(self.state)
        return Result.FAILED
