"""The load: requests at a steady pace, each under a name of its own, and what came back."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from bench.soak.tokens import Traffic, Wish

_PATIENCE = 15.0  # seconds; what takes longer hangs
_RECONNECT = 0.05
_LEAVES_AFTER = 200  # requests: clients come and go


@dataclass(frozen=True, slots=True)
class Record:
    """
    One request, as its client saw it.

    Attributes:
        status: of its answer; nothing if none came.
        worker: the process that it was sent to; 0 if that had not been told yet.
        began: in seconds since the epoch, as is *ended*.
    """

    name: str
    wish: Wish
    status: int | None
    worker: int
    began: float
    ended: float

    @property
    def is_wrong(self) -> bool:
        """Tell whether it got an answer that is not right."""
        return self.status is not None and self.status not in self.wish.right


class Client:
    """
    A client that keeps its connection, and makes another when it is lost.

    Args:
        keep: is given each record.

    Attributes:
        worker: the process that answers; 0 while that has not been told.
    """

    def __init__(self, port: int, name: str, keep: Callable[[Record], None]) -> None:
        self._port = port
        self._name = name
        self._keep = keep
        self._sent = 0
        self.worker = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, traffic: Traffic, rate: float, until: asyncio.Event) -> None:
        """Ask *rate* times a second until told to stop."""
        interval = 1 / rate
        loop = asyncio.get_running_loop()
        due = loop.time() + random.random() * interval
        while not until.is_set():
            await asyncio.sleep(due - loop.time())
            due = max(due + interval, loop.time() - 1)
            if self._streams is None:
                await self._connect()
            await self.ask(traffic.next())
            if self._sent % _LEAVES_AFTER == 0:
                self._hang_up()
        self._hang_up()

    async def ask(self, wish: Wish) -> bytes:
        """Send one request and keep what became of it; gives the body of the answer."""
        self._sent += 1
        name = f"{self._name}.{self._sent}"
        began = time()
        status, body = None, b""
        try:
            async with asyncio.timeout(_PATIENCE):
                status, body = await self._exchange(name, wish)
        except (OSError, EOFError, TimeoutError):
            self._hang_up()
        self._keep(Record(name, wish, status, self.worker, began, time()))
        return body

    async def _connect(self) -> None:
        self.worker = 0
        try:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            await asyncio.sleep(_RECONNECT)
            return
        told = await self.ask(Wish("who answers", frozenset({200}), "/who"))
        self.worker = int(told or 0)

    async def _exchange(self, name: str, wish: Wish) -> tuple[int, bytes]:
        if self._streams is None:
            raise ConnectionResetError
        reader, writer = self._streams
        token = f"Authorization: Bearer {wish.token}\r\n" if wish.token else ""
        length = f"Content-Length: {len(wish.body)}\r\n" if wish.method == "POST" else ""
        head = f"{wish.method} {wish.path} HTTP/1.1\r\nHost: soak\r\nX-Request-Id: {name}\r\n"
        writer.write(f"{head}{token}{length}\r\n".encode() + wish.body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(answer.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(size)
        if b"\r\nconnection: close" in answer:
            self._hang_up()
        return int(answer[9:12]), body

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Trickler:
    """A client that sends a byte now and then, until it is told that this takes too long."""

    def __init__(self, port: int, keep: Callable[[Record], None]) -> None:
        self._port = port
        self._keep = keep

    async def run(self, until: asyncio.Event) -> None:
        """Trickle, be cut off, and come again."""
        wish = Wish("a head that trickles", frozenset({408}))
        while not until.is_set():
            began = time()
            try:
                status = await self._trickle()
            except (OSError, EOFError):
                status = None
            self._keep(Record("", wish, status, 0, began, time()))

    async def _trickle(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        answer = asyncio.create_task(reader.readuntil(b"\r\n"))
        for byte in b"GET /api/private HTTP/1.1\r\nHost: soak\r\nX: " + b"x" * 1000:
            writer.write(bytes([byte]))
            done, _ = await asyncio.wait([answer], timeout=0.5)
            if done:
                break
        writer.close()
        return int((await answer)[9:12])
