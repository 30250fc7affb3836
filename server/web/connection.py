"""One client's connection: what is no HTTP request, and what does not come."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from server.web.answering import SERVER_NAME, Sign, write_at_once
from server.web.exchange import EXCHANGE
from server.web.limits import Limits
from server.web.patience import BodyWatch
from server.web.problems import BrokenBodyError, crashed
from server.web.refusal import HeadTimeoutError, HeadTooLargeError, refusal, status_of

# In seconds, for an answer to a body that is too large.
_TIME_TO_READ = 2.0
# After which a head must be complete; aiohttp would keep two megabytes.
_MAX_HEAD_SIZE = 64 * 1024

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
        "_head_size",
        "_head_timer",
        "_is_broken",
        "_limits",
        "_sign",
    )
    _answered: StreamReader | None  # the last body whose request has been answered
    _body: StreamReader  # the last that has begun to come
    _head_timer: asyncio.TimerHandle | None

    def __init__(
        self, manager: web.Server, *, limits: Limits, sign: Sign | None, **settings: Any
    ) -> None:
        super().__init__(manager, **settings)
        self._limits = limits
        self._sign = sign
        self._answered, self._body = None, EMPTY_PAYLOAD
        self._head_size = 0
        self._head_timer = None
        self._is_broken = False

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
            if self._head_timer is not None:
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

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 (aiohttp's signature)
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (aiohttp's signature)
    ) -> web.StreamResponse:
        """Answer what never reached a handler, or came to grief in the middle of its answer."""
        exchange = request[EXCHANGE]
        match exc:
            case BadHttpMessage():
                exchange.is_readable = False
                response = refusal(status_of(exc), request_id=exchange.request_id)
            case BrokenBodyError():
                response = refusal(400, request_id=exchange.request_id)
            case _:
                response = crashed(request_id=exchange.request_id, error=exc)
                response.headers["Server"] = SERVER_NAME
        if exchange.begun is not None:
            self.log_access(request, response, self._loop.time())
            raise ConnectionResetError
        response.force_close()
        # aiohttp answers in HTTP/1.0 here, and would leave it out.
        response.headers["Connection"] = "close"
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
            crash = crashed(request_id=request[EXCHANGE].request_id, error=error)
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
        if self._head_timer is None:
            self._end_idleness()
            self._head_size = 0
            self._head_timer = self._loop.call_later(
                self._limits.header_timeout, self._give_up_head
            )
        self._head_size += size
        if self._head_size > _MAX_HEAD_SIZE:
            self._refuse_head(HeadTooLargeError("the head of a request is too large"))

    def _end_idleness(self) -> None:
        # What has begun has its own time; aiohttp counts anew after the answer.
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
            self._keepalive_handle = None

    def _give_up_head(self) -> None:
        self._refuse_head(HeadTimeoutError("the head of a request did not come in time"))

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

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
