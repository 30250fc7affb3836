"""What goes wrong, and when; and what follows from it for what is right."""

import asyncio
import os
import random
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from time import time

from aiohttp import ClientSession

from bench.soak.server import Server
from bench.soak.tokens import Traffic

# In seconds.
_TURN = 20
_BREAK = 45
_BROKEN_FOR = 10
_RELOAD = 30
_KILL = 50
_SETTLE = 3  # until every worker has met a new key
_NO_QUESTIONS = 35  # until an issuer may be asked again for unknown keys (docs/keys.md)
_READ_NOT_FOR = (5, 30)
_IN_FLIGHT = 0.3
_TOKENS = 20
_FAULTS = ("down", "slow", "error", "garbage", "empty", "huge", "redirect", "truncated")

Line = tuple[float, str]
"""When something was done, in seconds since the epoch, and what."""


class Troubles:
    """
    All that is done to *server* while *traffic* goes on.

    Args:
        workers: tells which processes have answered of late.

    Attributes:
        done: what was done, and when.
        kills: when a worker was killed, and which.
    """

    def __init__(
        self,
        server: Server,
        traffic: Traffic,
        session: ClientSession,
        *,
        workers: Callable[[], set[int]],
    ) -> None:
        self._server = server
        self._workers = workers
        self._turning = traffic.turning
        self._traffic = traffic
        self._session = session
        self._lock = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._faults = cycle(_FAULTS)
        # In every other outage somebody uses the new key at once.
        self._uses_unsure = cycle((True, False))
        self._asked_in_vain = 0.0
        self._fresh: list[str] = []
        self.done: list[Line] = []
        self.kills: list[tuple[float, int]] = []

    async def prepare(self) -> None:
        """Have tokens to begin with."""
        self._turning.sure = [await self._server.tokens(self._session, _TOKENS)]

    async def go_on(self, seconds: float) -> None:
        """Make trouble for so long."""
        making = [
            asyncio.create_task(each)
            for each in (
                self._every(_TURN, self._turn),
                self._every(_BREAK, self._break),
                self._every(_RELOAD, self._reload),
                self._every(_KILL, self._kill),
                self._read_not(seconds * 0.15, _READ_NOT_FOR[0]),
                self._read_not(seconds * 0.4, _READ_NOT_FOR[1]),
            )
        ]
        done, _ = await asyncio.wait(making, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for each in making:
            each.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        self._server.log.read_on()
        for each in done:
            each.result()  # what trouble itself came to grief over

    def _note(self, what: str) -> None:
        self.done.append((time(), what))

    async def _every(
        self, seconds: float, do: Callable[[], Coroutine[object, object, None]]
    ) -> None:
        while True:
            await asyncio.sleep(seconds)
            await do()

    async def _turn(self) -> None:
        async with self._lock:
            # The key before the last is about to go, and its tokens with it.
            self._turning.sure = self._turning.sure[-1:]
            await asyncio.sleep(_IN_FLIGHT)
            await self._server.control(self._session, "rotate")
            self._note("rotation")
            fresh = await self._server.tokens(self._session, _TOKENS)
            if self._traffic.issuer_is_broken:
                self._fresh = fresh
                self._turning.unsure = fresh if next(self._uses_unsure) else []
                return
            if time() < self._asked_in_vain + _NO_QUESTIONS:
                await self._server.refresh(self._session)
            self._turning.sure.append(fresh)
            await asyncio.sleep(_SETTLE)

    async def _break(self) -> None:
        mode = next(self._faults)
        async with self._lock:
            self._traffic.issuer_is_broken = True
            await self._server.control(self._session, "fault", mode=mode, seconds=60)
            self._note(f"issuer {mode}")
        await asyncio.sleep(_BROKEN_FOR)
        async with self._lock:
            await self._server.control(self._session, "fault", mode="none")
            self._note("issuer healed")
            while not await self._server.refresh(self._session):  # noqa: ASYNC110
                await asyncio.sleep(1)
            self._asked_in_vain = time()
            if self._fresh:
                self._turning.sure.append(self._fresh)
            self._turning.unsure, self._fresh = [], []
            self._traffic.issuer_is_broken = False

    async def _reload(self) -> None:
        if self._traffic.guest_is_in is None or random.random() < 0.4:
            self._server.spoil()
            await self._until_reloaded("rejected")
            return
        guest = not self._traffic.guest_is_in
        self._traffic.guest_is_in = None
        await asyncio.sleep(_IN_FLIGHT)
        self._server.configure(guest=guest)
        await self._until_reloaded("applied")
        self._traffic.guest_is_in = guest

    async def _until_reloaded(self, result: str) -> None:
        series = ("keyturn_config_reloads_total", (("result", result),))
        before = (await self._server.metrics(self._session))[series]
        self._server.hang_up()
        self._note(f"reload, to be {result}")
        async with asyncio.timeout(30):
            while (await self._server.metrics(self._session))[series] != before + 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def _kill(self) -> None:
        # Not while nobody reads: what waits for a reader would be lost with the worker.
        async with self._reading:
            for pid in self._workers() - {self._server.oldest}:
                if _is_alive(pid):
                    self.kills.append((time(), pid))
                    os.kill(pid, signal.SIGKILL)
                    self._note("worker killed")
                    return

    async def _read_not(self, after: float, seconds: float) -> None:
        await asyncio.sleep(after)
        async with self._reading:
            self._server.log.stop_reading()
            self._note(f"nobody reads the log for {seconds} s")
            await asyncio.sleep(seconds)
            self._server.log.read_on()
            await asyncio.sleep(_SETTLE)
        await asyncio.Event().wait()


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return b"State:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()
    return False
