"""Small honest objects with switches, in place of the outside world."""

import asyncio
from collections.abc import Mapping

from server.jwks.client import FetchedKeySet, JWKSFetchError
from server.jwks.remote_key_set import Fetch
from server.oauth.keys import KeySet, VerificationKey, canonical_algorithm
from server.oauth.unverified_token import UnverifiedToken
from tests.minting import key_set


class FakeClock:
    """Time that passes when it is told to; sleepers wake when it has."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        wakes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + seconds, wakes))
        await wakes

    async def advance(self, seconds: float) -> None:
        """Let *seconds* pass, each sleeper waking in its turn."""
        end = self.time + seconds
        await settle()
        while due := [each for each in self._sleepers if each[0] <= end]:
            moment, wakes = min(due, key=lambda each: each[0])
            self._sleepers.remove((moment, wakes))
            self.time = max(self.time, moment)
            if not wakes.done():
                wakes.set_result(None)
            await settle()
        self.time = end


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


class FakeIssuer:
    """
    Where keys are fetched from.

    Attributes:
        keys: what it publishes.
        down: it fails every fetch.
        fault: an exception to raise, if any.
        rotation: answers in its place, if any.
        gate: while it is closed, answers wait.
        fetches: one ``fresh`` flag for each fetch.
    """

    def __init__(self, keys: KeySet | None = None) -> None:
        self.keys = keys or key_set()
        self.headers: Mapping[str, str] = {}
        self.down = False
        self.retry_after: float | None = None
        self.fault: Exception | None = None
        self.rotation: Fetch | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.fetches: list[bool] = []

    async def fetch(self, *, fresh: bool) -> FetchedKeySet:
        if self.rotation is not None:
            return await self.rotation(fresh=fresh)
        self.fetches.append(fresh)
        await self.gate.wait()
        if self.fault:
            raise self.fault
        if self.down:
            raise JWKSFetchError("down", retry_after=self.retry_after)
        return FetchedKeySet(self.keys, self.headers)


class StaticKeys:
    """Keys that are simply there, until they are changed."""

    def __init__(self, keys: KeySet | None = None) -> None:
        self.keys = keys or key_set()
        self.generation = 1
        self.usable = True

    def change(self, keys: KeySet) -> None:
        self.keys = keys
        self.generation += 1

    def vouches_for(self, generation: int) -> bool:
        return self.usable and generation == self.generation

    async def find(self, token: UnverifiedToken) -> tuple[VerificationKey, ...]:
        return self.keys.candidates(
            key_id=token.jws.key_id, algorithm=canonical_algorithm(token.jws.algorithm)
        )
