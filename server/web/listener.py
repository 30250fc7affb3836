"""Below the application: connections, and what is no HTTP request."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo
from yarl import URL

from server.web.observation import BEGUN, RequestLog, identify, new_request_id
from server.web.patience import USUAL_PATIENCE, BodyWatch, Patience
from server.web.problems import crashed, problem
from server.web.throttle import Throttle

# A header line of 16 KiB holds a token of 8 KiB, so that it is refused as a token.
MAX_HEADER_SIZE = 16 * 1024
_NAME = "keyturn"  # and no version

_UNREADABLE = web.RequestKey("unreadable", bool)

_RequestFactory = Callable[..., web.BaseRequest]
_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """
    One client's connection.

    What the parser refuses is answered here: with a problem document, and without an echo of what
    was sent, which may hold a token.  So is what does not come.
    """

    __slots__ = ("_body", "_head_timer", "_patience")
    _body: StreamReader | None
    _head_timer: asyncio.TimerHandle | None

    def __init__(self, manager: web.Server, *, patience: Patience, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._patience = patience
        self._head_timer = None
        self._body = None

    def data_received(self, data: bytes) -> None:
        """Take in what has come, and look at the clock while a request's head is incomplete."""
        super().data_received(data)
        if self._messages:
            self._forget_head_timer()
            self._break_off_body()
        elif self._head_timer is None and self._expects_a_head() and data.strip(b"\r\n"):
            self._head_timer = self._loop.call_later(self._patience.head, self._give_up_head)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a client that has gone."""
        self._forget_head_timer()
        super().connection_lost(exc)

    async def handle_with_patience(
        self, request: web.BaseRequest, handle: _Handle
    ) -> web.StreamResponse:
        """Let *handle* answer *request*, whose body may be a long time in coming."""
        self._body = request.content
        watch = BodyWatch(request.content, self._patience)
        try:
            return await handle(request)
        finally:
            watch.end()
            if request.content.exception() is not None:
                self._lingering_time = 0.0  # nobody waits for the rest of it

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 (aiohttp's signature)
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 (aiohttp's signature)
    ) -> web.StreamResponse:
        """Answer what never reached a handler, or came to grief in the middle of its answer."""
        if isinstance(exc, BadHttpMessage):
            response = _refusal(_status_of(exc), request_id=new_request_id())
        else:
            response = crashed(request_id=identify(request), error=exc)
            response.headers["Server"] = _NAME
        if BEGUN in request:
            self.log_access(request, response, self._loop.time())
            raise ConnectionResetError
        response.force_close()
        response.headers["Connection"] = "close"  # said also where it goes without saying
        return response

    def _expects_a_head(self) -> bool:
        # Not by whether anybody waits for one: the first bytes may come before anybody does.
        return self._current_request is None and (self._body is None or self._body.is_eof())

    def _give_up_head(self) -> None:
        self._head_timer = None
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            # As aiohttp does with what cannot be parsed.
            refused = _ErrInfo(status=408, exc=_HeadTimeoutError(), message="")
            self._messages.append((refused, EMPTY_PAYLOAD))
            waiter.set_result(None)

    def _forget_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _break_off_body(self) -> None:
        # A body that turns out to be none halfway: aiohttp would wait for the rest of it.
        body = self._body
        if body is None or body.is_eof() or not isinstance(self._messages[-1][0], _ErrInfo):
            return
        self._messages.pop()
        self.close()
        if self._current_request is None:
            body.feed_eof()  # it has its answer
        else:
            body.set_exception(web.RequestPayloadError())


class _HeadTimeoutError(BadHttpMessage):
    def __init__(self) -> None:
        super().__init__("the head of a request did not come in time")


def _refusal(status: int, *, request_id: str) -> web.Response:
    # Where no application is concerned its signals are not either.
    response = problem(status, request_id=request_id)
    response.headers["Server"] = _NAME
    return response


def _status_of(error: BadHttpMessage) -> int:
    match error:
        case _HeadTimeoutError():
            return 408
        case LineTooLong(args=(_, limit, *_)):
            return 431 if limit == MAX_HEADER_SIZE else 414
        case BadHttpMessage(message="Too many headers received"):
            return 431
    return 400


def _tolerant(make: _RequestFactory) -> _RequestFactory:
    # An address that is none (an impossible host) would end the connection's task in silence.
    def make_request(message: RawRequestMessage, *connection: Any, **named: Any) -> web.BaseRequest:
        try:
            return make(message, *connection, **named)
        except ValueError:
            request = make(message._replace(url=URL("/")), *connection, **named)
            request[_UNREADABLE] = True
            return request

    return make_request


def _at_the_door(handle: _Handle) -> _Handle:
    # What aiohttp would see to before any middleware.
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if _UNREADABLE in request:
            return _refusal(400, request_id=new_request_id())
        try:
            connection = request.protocol
            if isinstance(connection, Connection) and not request.content.is_eof():
                return await connection.handle_with_patience(request, handle)
            return await handle(request)
        except web.HTTPExpectationFailed:
            return _refusal(417, request_id=identify(request))  # aiohttp's own has an echo

    return answer


async def _name_no_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = _NAME


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """
    Runs an application with our connections and our limits.

    Args:
        shutdown_timeout: how long requests that have begun may go on, in seconds.
        log_requests: whether each leaves its line in the log.
        patience: with clients that are slow.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        shutdown_timeout: float,
        log_requests: bool,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout, keepalive_timeout=patience.idle)
        app.on_response_prepare.append(_name_no_version)
        self._connection_settings: dict[str, Any] = {
            "access_log_class": partial(RequestLog, unreadable=Throttle(burst=100, rate=10)),
            "patience": patience,
            "keepalive_timeout": patience.idle,
            "max_field_size": MAX_HEADER_SIZE,
            # A stranger's body is not unpacked: two megabytes of it may be two gigabytes.
            "auto_decompress": False,
        }
        if not log_requests:
            self._connection_settings["access_log"] = None

    async def _make_server(self) -> web.Server:
        # aiohttp has no door for another kind of connection; this is the one place that goes in.
        server = await super()._make_server()
        return _Server(
            _at_the_door(server.request_handler),
            request_factory=_tolerant(server.request_factory),
            **self._connection_settings,
        )
