"""Below the application: connections, and what is no HTTP request."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from yarl import URL

from server.web.observation import BEGUN, RequestLog, identify, new_request_id
from server.web.problems import crashed, problem

# A header line of 16 KiB holds a token of 8 KiB, so that it is refused as a token.
MAX_HEADER_SIZE = 16 * 1024
_KEEPALIVE_TIMEOUT = 75.0
_NAME = "keyturn"  # and no version

_UNREADABLE = web.RequestKey("unreadable", bool)

_RequestFactory = Callable[..., web.BaseRequest]
_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """
    One client's connection.

    What the parser refuses is answered here: with a problem document, and without an echo of what
    was sent, which may hold a token.
    """

    __slots__ = ()

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
        return response


def _refusal(status: int, *, request_id: str) -> web.Response:
    # Where no application is concerned its signals are not either.
    response = problem(status, request_id=request_id)
    response.headers["Server"] = _NAME
    return response


def _status_of(error: BadHttpMessage) -> int:
    if not isinstance(error, LineTooLong):
        return 400
    _line, limit, *_ = error.args
    return 431 if limit == MAX_HEADER_SIZE else 414


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
    """

    def __init__(
        self, app: web.Application, *, shutdown_timeout: float, log_requests: bool
    ) -> None:
        super().__init__(
            app, shutdown_timeout=shutdown_timeout, keepalive_timeout=_KEEPALIVE_TIMEOUT
        )
        app.on_response_prepare.append(_name_no_version)
        self._connection_settings: dict[str, Any] = {
            "access_log_class": RequestLog,
            "keepalive_timeout": _KEEPALIVE_TIMEOUT,
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
