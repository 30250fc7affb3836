"""One issuer's keys, kept current in the background and read without waiting."""

import asyncio
import random as randomness
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

from server.jwks.brake import UnknownKeyBrake
from server.jwks.flight import Flight, WaitingRoom
from server.jwks.journal import Journal
from server.jwks.outcomes import Outcome, Result, Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.refresher import Fetch, Refresher
from server.jwks.sharing import SharedKeys
from server.jwks.snapshot import State, Status
from server.metrics import Metrics
from server.oauth.errors import InvalidTokenError, KeysUnavailableError, Reason
from server.oauth.keys import VerificationKey, canonical_algorithm
from server.oauth.unverified_token import UnverifiedToken

_LONGEST_WAIT = 1.0  # seconds


class RemoteKeySet:
    """
    The keys of *issuer*, fetched with *fetch* as *policy* says, and *shared* with other processes.

    Verification reads one attribute.  Only a token whose key is unknown waits, for one fetch that
    it shares with all others.

    Args:
        metrics: what happens is counted in.
    """

    def __init__(  # noqa: PLR0913 (three of them are the outside world)
        self,
        issuer: str,
        fetch: Fetch,
        policy: RefreshPolicy,
        shared: SharedKeys,
        *,
        metrics: Metrics | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        self._issuer = issuer
        self._policy = policy
        self._now = now
        self.journal = Journal(issuer, metrics)
        self._brake = UnknownKeyBrake(cooldown=policy.unknown_key_cooldown)
        self._waiting_room = WaitingRoom(sleep=sleep)
        self._refresher = Refresher(
            fetch,
            policy,
            shared,
            brake=self._brake,
            journal=self.journal,
            now=now,
            sleep=sleep,
            random=random,
        )

    async def find(self, token: UnverifiedToken, *, may_ask: bool) -> tuple[VerificationKey, ...]:
        """
        Give the keys that *token* may have been signed with: at least one.

        Args:
            may_ask: the issuer may be asked for a key that is not known.

        Raises:
            InvalidTokenError: the issuer has no such key, or it is made for another algorithm.
            KeysUnavailableError: whether it has cannot be known now.
        """
        if keys := self._candidates(token):
            return keys
        if not may_ask or token.jws.key_id is None:
            raise InvalidTokenError(Reason.UNKNOWN_KEY)
        return await self._look_for(token, token.jws.key_id)

    def begin_as(self, other: "RemoteKeySet") -> None:
        """Begin with the keys that *other*, an earlier set of the same issuer, has now."""
        published = other._refresher.current.published  # noqa: SLF001 (one of our own)
        if published is not None:
            self._refresher.begin_with(published)

    async def run(self) -> NoReturn:
        """Keep the keys current until cancelled."""
        await self._refresher.run()

    async def refresh(self, trigger: Trigger) -> Result:
        """Fetch the keys, or wait for the fetch that is under way, and give what became of it."""
        return await self._refresher.refresh(trigger)

    async def until_idle(self) -> None:
        """Wait until no fetch is under way."""
        while self._refresher.flight is not None:
            await asyncio.wait([self._refresher.flight.task])

    @property
    def generation(self) -> int:
        """Counts the changes of the key set; 0 before the first."""
        return self._refresher.current.generation

    def vouches_for(self, generation: int) -> bool:
        """Tell whether what was verified under *generation* may still be believed."""
        current = self._refresher.current
        ends_at = current.expires_at + self._policy.max_stale
        return current.generation == generation > 0 and self._now() < ends_at

    @property
    def state(self) -> State:
        """Tell how far the keys can be relied on."""
        return self._refresher.state

    @property
    def is_usable(self) -> bool:
        """Tell whether tokens can be judged."""
        return self.state in {State.FRESH, State.STALE}

    @property
    def status(self) -> Status:
        """What an operator wants to know."""
        current, now = self._refresher.current, self._now()
        ends_at = current.expires_at + self._policy.max_stale
        return Status(
            self._issuer,
            self.state,
            keys=len(current.keys.keys),
            age=current.age(now=now),
            time_left=max(0.0, ends_at - now) if current.generation else 0.0,
            generation=current.generation,
        )

    def _candidates(self, token: UnverifiedToken) -> tuple[VerificationKey, ...]:
        if not self.is_usable:
            raise self._unavailable(self._refresher.schedule.due_in)
        return self._refresher.current.keys.candidates(
            key_id=token.jws.key_id, algorithm=canonical_algorithm(token.jws.algorithm)
        )

    async def _look_for(self, token: UnverifiedToken, key_id: str) -> tuple[VerificationKey, ...]:
        arrived = self._now()
        if self._brake.remembers(key_id, now=arrived):
            raise self._unknown(Outcome.REMEMBERED)
        while True:
            left = arrived + _LONGEST_WAIT - self._now()
            flight = self._refresher.flight or (self._ask_for(key_id) if left > 0 else None)
            if flight is None or not await self._waiting_room.wait_for(flight, seconds=left):
                self.journal.numbers.unknown_keys[Outcome.OVERFLOW].add()
                raise self._unavailable(0)
            if keys := self._candidates(token):
                self.journal.numbers.unknown_keys[Outcome.REFETCHED].add()
                return keys
            # A flight that began before we came may have begun before the issuer's rotation.
            if flight.settles(since=arrived):
                break
        if flight.result is Result.FAILED:
            self.journal.numbers.unknown_keys[Outcome.REFETCHED].add()
            raise self._unavailable(self._policy.unknown_key_cooldown)
        self._brake.learn_absent(key_id, now=self._now())
        raise self._unknown(Outcome.REFETCHED)

    def _ask_for(self, key_id: str) -> Flight:
        if self._brake.permits(key_id, now=self._now()):
            self.journal.released()
            return self._refresher.launch(Trigger.UNKNOWN_KEY, key_id)
        self.journal.braked(cooldown=self._policy.unknown_key_cooldown)
        if self.state is State.FRESH and not self._refresher.is_failing:
            raise self._unknown(Outcome.BRAKED)
        # The last question had no answer: that this key is new is as likely as that it is forged.
        self.journal.numbers.unknown_keys[Outcome.BRAKED].add()
        raise self._unavailable(self._policy.unknown_key_cooldown)

    def _unknown(self, outcome: Outcome) -> InvalidTokenError:
        self.journal.numbers.unknown_keys[outcome].add()
        return InvalidTokenError(Reason.UNKNOWN_KEY)

    def _unavailable(self, seconds: float) -> KeysUnavailableError:
        retry_after = min(seconds, self._refresher.schedule.due_in)
        return KeysUnavailableError(retry_after=max(1.0, retry_after))
