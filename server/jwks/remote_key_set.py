"""One issuer's keys, kept current in the background and read without waiting."""

import asyncio
import random as randomness
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from server.jwks.brake import UnknownKeyBrake
from server.jwks.client import FetchedKeySet, JWKSFetchError
from server.jwks.journal import Journal, Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.snapshot import NOTHING, State
from server.oauth.errors import InvalidTokenError, KeysUnavailableError, Reason
from server.oauth.keys import VerificationKey, canonical_algorithm
from server.oauth.unverified_token import UnverifiedToken


class Fetch(Protocol):
    """Asks the issuer once; raises JWKSFetchError."""

    def __call__(self, *, fresh: bool) -> Awaitable[FetchedKeySet]: ...


@dataclass(frozen=True, slots=True)
class Status:
    """What an operator wants to know; *age* in seconds since the keys were fetched."""

    issuer: str
    state: State
    keys: int
    age: float | None


class RemoteKeySet:
    """
    The keys of *issuer*, fetched with *fetch* as *policy* says.

    Verification reads one attribute.  Only a token whose key is unknown waits, for one fetch that
    it shares with all others.
    """

    def __init__(  # noqa: PLR0913 (three of them are the outside world)
        self,
        issuer: str,
        fetch: Fetch,
        policy: RefreshPolicy,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._policy = policy
        self._now = now
        self._sleep = sleep
        self._random = random
        self._journal = Journal(issuer)
        self._current = NOTHING
        self._flight: asyncio.Task[bool] | None = None
        self._brake = UnknownKeyBrake(cooldown=policy.unknown_key_cooldown)
        self._failures = 0
        self._next_refresh_at = now()
        self._rescheduled = asyncio.Event()

    async def find(self, token: UnverifiedToken) -> tuple[VerificationKey, ...]:
        """
        Give the keys that *token* may have been signed with: at least one.

        Raises:
            InvalidTokenError: the issuer has no such key, or it is made for another algorithm.
            KeysUnavailableError: whether it has cannot be known now.
        """
        keys = self._candidates(token)
        if not keys and self._flight is not None:
            await self._shared(self._flight)
            keys = self._candidates(token)
        if not keys:
            # Also after somebody else's fetch: it may have begun before the issuer's rotation.
            await self._ask_for(token.jws.key_id)
            keys = self._candidates(token)
        if not keys:
            self._brake.remember_absent([token.jws.key_id])
            raise InvalidTokenError(Reason.UNKNOWN_KEY)
        return keys

    async def refresh(self, trigger: Trigger) -> bool:
        """Fetch the keys, or wait for the fetch that is under way; tell whether it succeeded."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._refresh(trigger))
            self._flight.add_done_callback(self._landed)
        return await self._shared(self._flight)

    async def run(self) -> NoReturn:
        """Keep the keys current until cancelled."""
        trigger = Trigger.START
        try:
            while True:
                await self.refresh(trigger)
                trigger = Trigger.TIMER
                while (delay := self._next_refresh_at - self._now()) > 0:
                    await self._sleep_or_be_woken(delay)
        finally:
            if self._flight is not None:
                self._flight.cancel()

    @property
    def generation(self) -> int:
        """Counts the changes of the key set; 0 before the first."""
        return self._current.generation

    def vouches_for(self, generation: int) -> bool:
        """Tell whether what was verified under *generation* may still be believed."""
        return self._current.generation == generation and self.is_usable

    @property
    def state(self) -> State:
        """Tell how far the keys can be relied on."""
        return self._current.state(now=self._now(), max_stale=self._policy.max_stale)

    @property
    def is_usable(self) -> bool:
        """Tell whether tokens can be judged."""
        return self.state in {State.FRESH, State.STALE}

    @property
    def status(self) -> Status:
        """What an operator wants to know."""
        current, state = self._current, self.state
        age = None if state is State.EMPTY else self._now() - current.fetched_at
        return Status(self._issuer, state, keys=len(current.keys.keys), age=age)

    def _candidates(self, token: UnverifiedToken) -> tuple[VerificationKey, ...]:
        if not self.is_usable:
            raise self._unavailable()
        return self._current.keys.candidates(
            key_id=token.jws.key_id, algorithm=canonical_algorithm(token.jws.algorithm)
        )

    async def _ask_for(self, key_id: str | None) -> None:
        if self._flight is None and not self._brake.permits(key_id, now=self._now()):
            self._journal.braked(cooldown=self._policy.unknown_key_cooldown)
            if self.state is State.FRESH:
                raise InvalidTokenError(Reason.UNKNOWN_KEY)
            raise self._unavailable()
        self._journal.released()
        if not await self.refresh(Trigger.UNKNOWN_KEY):
            raise self._unavailable()

    def _unavailable(self) -> KeysUnavailableError:
        return KeysUnavailableError(retry_after=max(1.0, self._next_refresh_at - self._now()))

    async def _shared(self, flight: asyncio.Task[bool]) -> bool:
        # Shielded: one caller's cancelled request must not fail the others.
        return await asyncio.shield(flight)

    async def _sleep_or_be_woken(self, delay: float) -> None:
        # A fetch for an unknown key may bring the next refresh forward, or put it off.
        self._rescheduled.clear()
        waits = [
            asyncio.ensure_future(self._sleep(delay)),
            asyncio.ensure_future(self._rescheduled.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _landed(self, _flight: asyncio.Task[bool]) -> None:
        self._flight = None

    async def _refresh(self, trigger: Trigger) -> bool:
        began = self._now()
        try:
            fetched = await self._fetch(fresh=trigger is Trigger.UNKNOWN_KEY)
            self._adopt(fetched, trigger, began)
        except JWKSFetchError as error:
            self._note_failure(trigger, str(error), retry_after=error.retry_after)
            return False
        except Exception:  # noqa: BLE001 (whatever it is, logged with its traceback; we go on)
            self._journal.crashed(trigger)
            self._note_failure(trigger, "unexpected error", retry_after=None)
            return False
        return True

    def _adopt(self, fetched: FetchedKeySet, trigger: Trigger, began: float) -> None:
        lifetime = self._policy.lifetime(fetched.headers)
        before = self._current
        self._current = before.succeeded_by(fetched.keys, fetched_at=began, lifetime=lifetime)
        self._failures = 0
        self._next_refresh_at = self._now() + self._policy.refresh_in(
            lifetime, random=self._random()
        )
        self._rescheduled.set()
        added = self._current.names_missing_from(before)
        removed = before.names_missing_from(self._current)
        if trigger is Trigger.UNKNOWN_KEY:
            self._brake.reward(added, now=self._now())
        self._brake.remember_absent(removed)
        self._brake.forget(added)  # a key replaced under its name is in both
        self._journal.refreshed(trigger, fetched.keys)
        if before.generation not in {0, self.generation}:
            self._journal.rotated(added=added, removed=removed)

    def _note_failure(self, trigger: Trigger, cause: str, *, retry_after: float | None) -> None:
        if trigger is not Trigger.UNKNOWN_KEY:
            # A failed fetch for an unknown key moves nothing: the timer has its own pace.
            self._failures += 1
            delay = self._policy.retry_in(
                self._failures, random=self._random(), retry_after=retry_after
            )
            self._next_refresh_at = self._now() + delay
        self._journal.failed(
            trigger, cause, state=self.state, retry_in=self._next_refresh_at - self._now()
        )
