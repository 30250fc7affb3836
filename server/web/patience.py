"""How long a client may take to send what it has begun: RFC 9110 section 15.5.9."""

import asyncio
from collections.abc import Callable

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import StreamReader

from server.web.exchange import EXCHANGE
from server.web.refusal import HeadTimeoutError, HeadTooLargeError

# After which a head must be complete; aiohttp would keep two megabytes.
_MAX_HEAD_SIZE = 64 * 1024
# So many bytes of a body earn one more second.
_RATE = 500.0
# How often a body is looked at: in seconds at most, and that often while nothing comes.
_LONGEST_TICK = 1.0
_TICKS = 20


async def invite_body(request: web.Request) -> None:
    """Tell a client that waits for it that its body is welcome."""
    if request[EXCHANGE].expectation is not None and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


class HeadWatch:
    """
    Gives up a head that does not come to its end within *timeout* seconds, or 64 KiB.

    Args:
        give_up: is told why.
    """

    def __init__(self, timeout: float, give_up: Callable[[BadHttpMessage], None]) -> None:
        self._size = 0
        self._give_up = give_up
        late = HeadTimeoutError("the head of a request did not come in time")
        self._timer = asyncio.get_running_loop().call_later(timeout, give_up, late)

    def take(self, size: int) -> None:
        """Take note that so many bytes of it have come."""
        self._size += size
        if self._size > _MAX_HEAD_SIZE:
            self._give_up(HeadTooLargeError("the head of a request is too large"))

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()


class BodyWatch:
    """
    Gives up *body* when its handler has waited for it for *timeout* seconds.

    In all, and one more for each 500 bytes that came; and at one stretch.  Only waiting counts: a
    handler may take its time between two reads.
    """

    def __init__(self, body: StreamReader, timeout: float) -> None:
        self._body = body
        self._timeout = timeout
        self._tick = min(_LONGEST_TICK, timeout / _TICKS)
        self._waited = self._waited_in_vain = 0.0
        self._come = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._tick, self._look)

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._body.is_eof() or self._body.exception() is not None:
            return
        if self._body.total_bytes > self._come:
            self._come, self._waited_in_vain = self._body.total_bytes, 0.0
        if self._is_awaited():
            self._waited += self._tick
            self._waited_in_vain += self._tick
        earned = self._come / _RATE
        if max(self._waited - earned, self._waited_in_vain) > self._timeout:
            self._body.set_exception(web.HTTPRequestTimeout())
            return
        self._timer = self._loop.call_later(self._tick, self._look)

    def _is_awaited(self) -> bool:
        body = self._body
        waiters = (body._waiter, body._eof_waiter)  # noqa: SLF001 (nothing else tells)
        return any(waiter is not None for waiter in waiters)
