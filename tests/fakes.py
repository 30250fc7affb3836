"""Small honest objects with switches, in place of the outside world."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from server.jwks.document import JWKSFetchError
from server.jwks.published import PublishedKeySet
from server.jwks.refresher import Fetch
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


class FakeTransport(asyncio.Transport):
    """A connection to *address*, as far as one may ask for that."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 4711)})


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(60):
        await asyncio.sleep(0)


class FakeIssuer:
    """
    Where keys are fetched from.

    Attributes:
        keys: what it publishes.
        headers: what it says of how long they are good; with an ETag it answers 304 as well.
        down: it fails every fetch.
        fault: an exception to raise, if any.
        rotation: answers in its place, if any.
        gate: while it is closed, answers wait.
        fetches: one ``fresh`` flag for each fetch.
        conditional: of these, those that named what is held.
    """

    def __init__(self, keys: KeySet | None = None, *, clock: Callable[[], float]) -> None:
        self.keys = keys or key_set()
        self.headers: Mapping[str, str] = {}
        self.down = False
        self.retry_after: float | None = None
        self.fault: Exception | None = None
        self.rotation: Fetch | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.fetches: list[bool] = []
        self.conditional = 0
        self._clock = clock

    async def fetch(
        self, held: PublishedKeySet | None = None, *, fresh: bool = False
    ) -> PublishedKeySet:
        if self.rotation is not None:
            return await self.rotation(held, fresh=fresh)
        asked_at = self._clock()
        self.fetches.append(fresh)
        await self.gate.wait()
        if self.fault:
            raise self.fault
        if self.down:
            raise JWKSFetchError("down", retry_after=self.retry_after)
        if held is not None and "ETag" in self.headers:
            self.conditional += 1
            if held.keys == self.keys:
                return held.confirmed(self.headers, asked_at=asked_at)
        keys = replace(self.keys)  # read anew each time
        return PublishedKeySet(keys, "https://issuer.example/keys", self.headers, asked_at)


class StaticKeys:
    """
    Keys that are simply there, until they are changed.

    Attributes:
        asked: one ``may_ask`` flag for each search.
    """

    def __init__(self, keys: KeySet | None = None) -> None:
        self.keys = keys or key_set()
        self.generation = 1
        self.usable = True
        self.asked: list[bool] = []

    def change(self, keys: KeySet) -> None:
        self.keys = keys
        self.generation += 1

    def vouches_for(self, generation: int) -> bool:
        return self.usable and generation == self.generation

    async def find(self, token: UnverifiedToken, *, may_ask: bool) -> tuple[VerificationKey, ...]:
        self.asked.append(may_ask)
        return self.keys.candidates(
            key_id=token.jws.key_id, algorithm=canonical_algorithm(token.jws.algorithm)
        )
