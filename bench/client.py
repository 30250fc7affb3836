"""
Requests at a steady pace, each with its time: what wrk cannot tell.

A request that is due while its connection still waits counts from when it was due; what the
server does to those that queue is not left out.
"""

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.load import ORIGIN, PATH

Sample = tuple[float, float, int]
"""When a request was due, and how long it took, in seconds; its status."""


@dataclass(frozen=True, slots=True)
class Stream:
    """
    Requests at one pace.

    Attributes:
        rate: requests in a second, over all *connections*.
        token: gives the token of a request that is due at a time, in seconds from the start.
        runs: tells whether the stream runs at a time.
    """

    rate: float
    connections: int
    token: Callable[[float], str]
    runs: Callable[[float], bool] = lambda _at: True


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""
        self._answered: asyncio.Future[int] | None = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and len(body) >= _content_length(head) and self._answered is not None:
            self._received = b""
            self._answered.set_result(int(head[9:12]))

    def connection_lost(self, _error: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError("the server hung up"))

    async def ask(self, transport: asyncio.Transport, token: str) -> int:
        """Send one request, and give the status of its answer."""
        self._answered = asyncio.get_running_loop().create_future()
        transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: bench\r\nOrigin: {ORIGIN}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        return await self._answered


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])


async def send(port: int, streams: Sequence[Stream], *, seconds: float) -> list[list[Sample]]:
    """Send *streams* to the server at *port*; gives the samples of each."""
    begun = time.perf_counter() + 0.2
    gc.disable()
    found: list[list[Sample]] = [[] for _ in streams]
    await asyncio.gather(
        *(
            _keep_asking(port, stream, number, begun, seconds, samples)
            for stream, samples in zip(streams, found, strict=True)
            for number in range(stream.connections)
        )
    )
    return found


async def _keep_asking(
    port: int, stream: Stream, number: int, begun: float, seconds: float, samples: list[Sample]
) -> None:
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
    for due in _due(stream, number, seconds):
        wait = begun + due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        # The loop's timers are late by up to a millisecond, which is not the server's doing.
        at = max(due, time.perf_counter() - begun) if wait > 0 else due
        if stream.runs(due):
            status = await connection.ask(transport, stream.token(at))
            samples.append((at, time.perf_counter() - begun - at, status))
    transport.close()


def _due(stream: Stream, number: int, seconds: float) -> Iterator[float]:
    interval = stream.connections / stream.rate
    due = interval * number / stream.connections
    while due < seconds:
        yield due
        due += interval


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that *share* of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def p99_ms(samples: Sequence[Sample], begin: float, end: float) -> float:
    """Give the 99th percentile of what was due from *begin* to *end*, in milliseconds."""
    return percentile([took for at, took, _ in samples if begin <= at < end], 0.99) * 1e3
