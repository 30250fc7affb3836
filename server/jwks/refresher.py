"""Keeps one issuer's keys current: by the timer, for an unknown key, or because it was told to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from server.jwks.brake import UnknownKeyBrake
from server.jwks.document import JWKSFetchError
from server.jwks.flight import Flight
from server.jwks.journal import Journal
from server.jwks.outcomes import Result, Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.published import PublishedKeySet
from server.jwks.schedule import Schedule
from server.jwks.sharing import SharedKeys
from server.jwks.snapshot import NOTHING, State

# In seconds.  Requests that wait for a key wait no longer than one.
_LOOK_AGAIN = 0.05
_PATIENCE_WHILE_OTHERS_WAIT = 0.6
_RESTART = 1.0

_URGENT = frozenset({Trigger.UNKNOWN_KEY, Trigger.FORCED})


class Fetch(Protocol):
    """Asks the issuer once; raises JWKSFetchError."""

    def __call__(
        self, held: PublishedKeySet | None, *, fresh: bool
    ) -> Awaitable[PublishedKeySet]: ...


class Refresher:
    """
    Fetches keys with *fetch*, one flight at a time, and shares them with other processes.

    A flight takes over what another process has, or asks the issuer; what it gets is adopted by
    one assignment, so that readers never see half.

    Attributes:
        current: the keys.
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
        self._has_ended = False
        self.current = NOTHING
        self.flight: Flight | None = None
        self.is_failing = False
        self.schedule = Schedule(policy, now=now, sleep=sleep, random=random)

    @property
    def state(self) -> State:
        """Tell how far the keys can be relied on."""
        return self.current.state(now=self._now(), max_stale=self._policy.max_stale)

    def begin_with(self, published: PublishedKeySet) -> None:
        """Use *published* until the issuer has been asked."""
        self._adopt(published, lifetime=self._policy.lifetime(published.headers))

    async def run(self) -> NoReturn:
        """Keep the keys current until cancelled, whatever happens; nothing is fetched after."""
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
            self._has_ended = True
            if self.flight is not None:
                self.flight.task.cancel()
                await asyncio.wait([self.flight.task])

    async def refresh(self, trigger: Trigger) -> Result:
        """
        Fetch the keys, or wait for the fetch that is under way, and give what became of it.

        Who forces a refresh wants to know what the issuer publishes now: a flight that began
        before is not enough.
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

    def _landed(self, _task: asyncio.Task[Result]) -> None:
        self.flight = None

    async def _wait_until_due(self) -> None:
        while self.schedule.due_in > 0:
            left = self.current.time_left(now=self._now(), max_stale=self._policy.max_stale)
            await self.schedule.wait(at_most=left)
            self._tell_age()

    async def _fly(self, trigger: Trigger, key_id: str | None) -> Result:
        if self._has_ended:
            return Result.FAILED
        try:
            return await self._take_over_or_ask(trigger, key_id)
        except JWKSFetchError as error:
            if error.unfit:
                self._journal.ignored(error.unfit)
            self._back_off(trigger, retry_after=error.retry_after)
            self._journal.failed(trigger, str(error), retry_in=self.schedule.due_in)
        except TimeoutError:
            self._back_off(trigger, retry_after=None)
            self._journal.failed(trigger, "no answer in time", retry_in=self.schedule.due_in)
        except Exception:  # noqa: BLE001 (logged with its traceback; we go on)
            self._journal.crashed(trigger)
            self._back_off(trigger, retry_after=None)
        finally:
            self._tell_age()
        return Result.FAILED

    def _back_off(self, trigger: Trigger, *, retry_after: float | None) -> None:
        self.is_failing = True
        match trigger:
            case Trigger.START | Trigger.TIMER:
                self.schedule.failed(retry_after=retry_after)
            case Trigger.FORCED:
                self.schedule.hasten(retry_after=retry_after)
            case Trigger.UNKNOWN_KEY:
                pass  # who invents keys moves nothing: the timer has its own pace

    def _tell_age(self) -> None:
        self._journal.aged(self.state, age=self.current.age(now=self._now()))

    async def _take_over_or_ask(self, trigger: Trigger, key_id: str | None) -> Result:
        if trigger is Trigger.FORCED:
            return await self._ask_issuer(trigger)
        if await self._take_over(key_id):
            return Result.TAKEN_OVER
        try:
            if not await self._wait_for_others(trigger, key_id):
                return Result.TAKEN_OVER
            return await self._ask_issuer(trigger)
        finally:
            self._shared.release()

    async def _wait_for_others(self, trigger: Trigger, key_id: str | None) -> bool:
        """Wait while another process asks the issuer; tell whether it is for us to ask it."""
        timeout = self._policy.timeout
        patience = _PATIENCE_WHILE_OTHERS_WAIT if trigger is Trigger.UNKNOWN_KEY else timeout
        until = self._now() + patience
        while not (is_ours := await self._shared.claim(seconds=timeout)) and self._now() < until:
            await self._sleep(_LOOK_AGAIN)
            if await self._take_over(key_id):
                return False
        # If it is ours, another one may have finished between our look and our claim.
        return not (is_ours and await self._take_over(key_id))

    async def _take_over(self, key_id: str | None) -> bool:
        """Adopt what another process shared, if it is newer; tell whether that is enough."""
        shared = await self._shared.get(now=self._now())
        if shared is None or not self.current.is_outdated_by(shared):
            return False
        lifetime = self._policy.lifetime(shared.headers)
        if self._now() - shared.asked_at >= lifetime + self._policy.max_stale:
            return False
        self._adopt(shared, lifetime=lifetime)
        self._journal.taken_over(shared.keys)
        if key_id is None:
            return self.schedule.due_in > 0
        if is_known := self.current.keys.knows(key_id):
            self._brake.give_back()
        return is_known

    async def _ask_issuer(self, trigger: Trigger) -> Result:
        # Who asks for a key that we do not know, or forces a refresh, has reason to doubt what we
        # hold, whatever a coarse validator says; so have we after a failure.  No conditions then.
        is_doubtful = trigger in _URGENT or self.is_failing
        held = None if is_doubtful else self.current.published
        async with asyncio.timeout(self._policy.timeout):
            published = await self._fetch_newer(held, trigger)
        lifetime = self._policy.lifetime(published.headers)
        self._adopt(published, lifetime=lifetime, is_reward_due=trigger is Trigger.UNKNOWN_KEY)
        self._journal.ignored(published.keys.unfit)
        self._shared.put(published, now=self._now(), keep_for=lifetime + self._policy.max_stale)
        is_confirmed = held is not None and published.keys is held.keys  # the very same: a 304
        result = Result.NOT_MODIFIED if is_confirmed else Result.OK
        self._journal.refreshed(trigger, result, published.keys)
        return result

    async def _fetch_newer(self, held: PublishedKeySet | None, trigger: Trigger) -> PublishedKeySet:
        """Ask the issuer, and again past the caches if one of them answers with what is older."""
        published = await self._fetch(held, fresh=trigger in _URGENT)
        if self._is_roll_back(published) and trigger not in _URGENT:
            published = await self._fetch(None, fresh=True)
        if self._is_roll_back(published):
            raise JWKSFetchError("a cache on the way still has an older set")
        return published

    def _is_roll_back(self, published: PublishedKeySet) -> bool:
        # Keys that have expired are no better than older ones.
        is_used = self.state in {State.FRESH, State.STALE}
        return is_used and self.current.would_be_rolled_back_by(published)

    def _adopt(
        self, published: PublishedKeySet, *, lifetime: float, is_reward_due: bool = False
    ) -> None:
        before = self.current
        self.current = before.succeeded_by(published, lifetime=lifetime)
        self.is_failing = False
        self.schedule.refreshed(asked_at=published.asked_at, lifetime=lifetime)
        if self.current.generation != before.generation:
            added = self.current.names_missing_from(before)
            removed = before.names_missing_from(self.current)
            if is_reward_due:
                self._brake.reward(added, now=self._now())
            self._brake.learn_change(added=added, removed=removed, past_caches=is_reward_due)
            if before.generation:
                self._journal.rotated(added=added, removed=removed)
