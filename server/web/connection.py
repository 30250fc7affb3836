"""One client's connection: what is no HTTP request, and what does not come."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import ERROR, _ErrInfo

from server.web.answering import Sign, write_at_once
from server.web.exchange import EXCHANGE
from server.web.limits import Limits
from server.web.patience import BodyWatch, HeadWatch
from server.web.problems import crashed
from server.web.refusal import HeadTimeoutError, answer_to, no_room, octets_of

# In seconds, for an answer to a body that is too large.
_TIME_TO_READ = 2.0

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """
    One client's connection.

    What the parser refuses is answered here: with a problem document, and without an echo of what
    was sent, which may hold a token.  So is what does not come.
    """

    __slots__ = (
        "_answered",
        "_body",
        "_head",
        "_is_broken",
        "_is_turned_away",
        "_limits",
        "_sign",
    )
    _answered: StreamReader | None  # the last body whose request has been answered
    _body: StreamReader  # the last that has begun to come
    _head: HeadWatch | None  # of one that has begun to come

    def __init__(
        self, manager: web.Server, *, limits: Limits, sign: Sign | None, **settings: Any
    ) -> None:
        super().__init__(manager, **settings)
        self._limits = limits
        self._sign = sign
        self._answered, self._body = None, EMPTY_PAYLOAD
        self._head = None
        self._is_broken = self._is_turned_away = False

    @property
    def is_answering(self) -> bool:
        """Tell whether a request is being answered."""
        return self._request_in_progress

    def data_received(self, data: bytes) -> None:
        """Take in what has come, and look at the clock while a request's head is incomplete."""
        if self._is_broken:
            return  # what follows what is no HTTP is none either
        awaits_head = self._awaits_head()
        messages = self._messages
        known = len(messages)
        body = self._body
        super().data_received(data)
        if body is not EMPTY_PAYLOAD:
            self._bound(body)
        if len(messages) > known:
            if self._head is not None:
                self._end_head()
            message, payload = messages[-1]
            if isinstance(message, _ErrInfo):
                self._is_broken = True
                self._break_off_body()
            else:
                self._body = payload
        elif awaits_head and data.strip(b"\r\n"):
            self._wait_for_head(len(data))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a client that has gone."""
        self._end_head()
        super().connection_lost(exc)
        if self._answered is not None and not self._answered.is_eof():
            self._answered.feed_eof()  # aiohttp would wait for the rest of it

    async def handle_with_patience(
        self, request: web.BaseRequest, handle: Handle
    ) -> web.StreamResponse:
        """Let *handle* answer *request*, whose body may be a long time in coming."""
        watch = BodyWatch(request.content, self._limits.body_timeout)
        try:
            response = await handle(request)
        finally:
            watch.end()
            self._answered = request.content
            fault = request.content.exception()
            if isinstance(fault, web.HTTPRequestEntityTooLarge):
                # The rest of it is thrown away: who sends it may read the answer meanwhile.
                request.content._exception = None  # noqa: SLF001 (nothing else takes it back)
                self._lingering_time = min(self._lingering_time, _TIME_TO_READ)
            elif fault is not None:
                self._lingering_time = 0.0  # nobody waits for the rest of it
        if fault is not None:
            response.force_close()
        return response

    def turn_away(self, limits: Limits) -> None:
        """Answer one request, by refusing it, and wait for that one only as *limits* say."""
        self._is_turned_away = True
        self._request_handler = _say_no_room
        self._limits = limits
        self._keepalive_timeout = self._lingering_time = limits.idle_timeout

    def turn_away_unheard(self) -> None:
        """Say that there is no room, and read nothing."""
        if self.transport is None or self._request_factory is None:
            return
        # As aiohttp does with what cannot be parsed.
        writer, task = StreamWriter(self, self._loop), asyncio.current_task()
        request = self._request_factory(ERROR, EMPTY_PAYLOAD, self, writer, task)  # type: ignore[arg-type]
        request[EXCHANGE].is_readable = False
        response = no_room(request_id=request[EXCHANGE].request_id)
        self.transport.write(octets_of(response))
        self.log_access(request, response, self._loop.time())
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 (aiohttp's signature)
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (aiohttp's signature)
    ) -> web.StreamResponse:
        """Answer what never reached a handler, or came to grief in the middle of its answer."""
        exchange = request[EXCHANGE]
        response = answer_to(exc, exchange)
        if exchange.begun is not None:
            self.log_access(request, response, self._loop.time())
            raise ConnectionResetError
        if isinstance(exc, HeadTimeoutError) and self._is_turned_away:
            return no_room(request_id=exchange.request_id)
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send *resp*, and have its line written."""
        try:
            if self._writes_at_once(request, resp):
                return resp, await self._has_gone_meanwhile(request, resp, start_time)
            return await super().finish_response(request, resp, start_time)
        except ConnectionError:
            raise
        except Exception as error:
            # A head that cannot be written, a body that its handler cannot make.
            crash = crashed(request[EXCHANGE], error)
            crash.force_close()
            if request.writer.output_size:
                self.log_access(request, crash, start_time)
                raise ConnectionResetError from error
            return await super().finish_response(request, crash, start_time)

    def _writes_at_once(self, request: web.BaseRequest, response: web.StreamResponse) -> bool:
        return (
            self._sign is not None
            and isinstance(response, web.Response)
            and isinstance(request, web.Request)
            and not self._upgraded
            and write_at_once(request, response, self._sign)
        )

    async def _has_gone_meanwhile(
        self, request: web.BaseRequest, response: web.StreamResponse, start_time: float | None
    ) -> bool:
        request._finish()  # noqa: SLF001 (as aiohttp does it)
        has_gone = False
        if self._paused:
            # The client is slow to read: nothing more is done for it until it has.
            try:
                await self._drain_helper()
            except ConnectionError:
                has_gone = True
        self.log_access(request, response, start_time)
        return has_gone

    def _awaits_head(self) -> bool:
        # Nothing but a head can come now.  Of one that comes behind a request that is still being
        # answered nothing can be told from here: it has as long as a connection may be idle.
        is_idle = self._waiter is not None and not self._waiter.done()
        return is_idle or self._request_count == 0

    def _wait_for_head(self, size: int) -> None:
        if self._head is None:
            self._end_idleness()
            self._head = HeadWatch(self._limits.header_timeout, self._refuse_head)
        self._head.take(size)

    def _end_idleness(self) -> None:
        # What has begun has its own time; aiohttp counts anew after the answer.
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
            self._keepalive_handle = None

    def _end_head(self) -> None:
        if self._head is not None:
            self._head.end()
            self._head = None

    def _refuse_head(self, error: BadHttpMessage) -> None:
        # As aiohttp does with what cannot be parsed.
        self._end_head()
        self._is_broken = True
        self._messages.append((_ErrInfo(status=400, exc=error, message=""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _bound(self, body: StreamReader) -> None:
        # However its handler takes it in; what was told in advance was refused in advance.
        limit = self._limits.max_body_size
        if body.total_bytes > limit and body is not self._answered and body.exception() is None:
            body.set_exception(web.HTTPRequestEntityTooLarge(limit))

    def _break_off_body(self) -> None:
        # A body that turns out to be none halfway: aiohttp would wait for the rest of it.
        if self._body.is_eof():
            return
        self._messages.pop()
        if self._body is self._answered:
            self.close()
            self._body.feed_eof()
        else:
            self._body.set_exception(web.RequestPayloadError())


async def _say_no_room(request: web.BaseRequest) -> web.StreamResponse:
    return no_room(request_id=request[EXCHANGE].request_id)
