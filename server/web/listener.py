"""Below the application: what is listened with, and what is seen to before any middleware."""

from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from server.web.connection import MAX_HEADER_SIZE, SERVER_NAME, Connection, Handle, refusal
from server.web.observation import RequestLog, identify, new_request_id
from server.web.patience import EXPECTATION, USUAL_PATIENCE, Patience
from server.web.throttle import Throttle

_CONTINUE = "100-continue"

_UNREADABLE = web.RequestKey("unreadable", bool)

_RequestFactory = Callable[..., web.BaseRequest]


def _tolerant(make: _RequestFactory) -> _RequestFactory:
    def make_request(message: RawRequestMessage, *connection: Any, **named: Any) -> web.BaseRequest:
        if hdrs.EXPECT in message.headers:
            # aiohttp would invite the body of a stranger before anything is asked of him.
            expected = message.headers[hdrs.EXPECT]
            others = [each for each in message.headers.items() if each[0].lower() != "expect"]
            message = message._replace(headers=CIMultiDictProxy(CIMultiDict(others)))
            request = make_request(message, *connection, **named)
            request[EXPECTATION] = expected.lower()
            return request
        try:
            return make(message, *connection, **named)
        except ValueError:
            # An address that is none (an impossible host) would end the connection in silence.
            request = make(message._replace(url=URL("/")), *connection, **named)
            request[_UNREADABLE] = True
            return request

    return make_request


def _at_the_door(handle: Handle) -> Handle:
    # What aiohttp would see to before any middleware.
    async def judge(request: web.BaseRequest) -> web.StreamResponse:
        if _UNREADABLE in request:
            return refusal(400, request_id=new_request_id())
        if not HttpVersion10 <= request.version <= HttpVersion11:
            return refusal(505, request_id=identify(request))
        if request.get(EXPECTATION, _CONTINUE) != _CONTINUE:
            return refusal(417, request_id=identify(request))
        return await handle(request)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if isinstance(connection, Connection) and not request.content.is_eof():
            return await connection.handle_with_patience(request, judge)
        return await judge(request)

    return answer


async def _name_no_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER_NAME


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
