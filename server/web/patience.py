"""How long a client may take to send what it has begun: RFC 9110 section 15.5.9."""

import asyncio
from dataclasses import dataclass

from aiohttp import HttpVersion11, web
from aiohttp.streams import StreamReader

from server.web.exchange import EXCHANGE


@dataclass(frozen=True, slots=True)
class Patience:
    """
    Attributes:
        idle: between requests, in seconds.
        head: from the first byte of a request's head to its last, in seconds.
        body: how long a handler may wait for a body in all, and at one stretch, in seconds.
        body_rate: bytes of it that earn one more second.
        tick: how often a body is looked at, in seconds.
    """

    idle: float = 75.0
    head: float = 10.0
    body: float = 20.0
    body_rate: float = 500.0
    tick: float = 1.0


USUAL_PATIENCE = Patience()


async def invite_body(request: web.Request) -> None:
    """Tell a client that waits for it that its body is welcome."""
    if request[EXCHANGE].expectation is not None and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


class BodyWatch:
    """
    Gives up *body* when its handler has waited for it longer than *patience* allows.

    Only waiting counts: a handler may take its time between two reads.
    """

    def __init__(self, body: StreamReader, patience: Patience) -> None:
        self._body = body
        self._patience = patience
        self._waited = self._waited_in_vain = 0.0
        self._come = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(patience.tick, self._look)

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._body.is_eof() or self._body.exception() is not None:
            return
        if self._body.total_bytes > self._come:
            self._come, self._waited_in_vain = self._body.total_bytes, 0.0
        if self._is_awaited():
            self._waited += self._patience.tick
            self._waited_in_vain += self._patience.tick
        earned = self._come / self._patience.body_rate
        if max(self._waited - earned, self._waited_in_vain) > self._patience.body:
            self._body.set_exception(web.HTTPRequestTimeout())
            return
        self._timer = self._loop.call_later(self._patience.tick, self._look)

    def _is_awaited(self) -> bool:
        body = self._body
        waiters = (body._waiter, body._eof_waiter)  # noqa: SLF001 (nothing else tells)
        return any(waiter is not None for waiter in waiters)
