"""Below the application: connections, and what is no HTTP request."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from server.web.observation import RequestLog, new_request_id
from server.web.problems import problem

# A header line of 16 KiB holds a token of 8 KiB, so that it is refused as a token.
MAX_HEADER_SIZE = 16 * 1024
_KEEPALIVE_TIMEOUT = 75.0


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
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be read."""
        if not isinstance(exc, BadHttpMessage):
            return super().handle_error(request, status, exc, message)
        response = problem(_status_of(exc), request_id=new_request_id())
        response.headers["Server"] = "keyturn"
        response.force_close()
        return response


def _status_of(error: BadHttpMessage) -> int:
    if not isinstance(error, LineTooLong):
        return 400
    _line, limit, *_ = error.args
    return 431 if limit == MAX_HEADER_SIZE else 414


_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _answering_expectations(handle: _Handle) -> _Handle:
    # aiohttp looks at Expect before any middleware, and echoes what it does not know.
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPExpectationFailed:
            return problem(417, request_id=new_request_id())

    return answer


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the application with our connections, our limits and our log line."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float) -> None:
        super().__init__(
            app, shutdown_timeout=shutdown_timeout, keepalive_timeout=_KEEPALIVE_TIMEOUT
        )
        self._connection_settings: dict[str, Any] = {
            "access_log_class": RequestLog,
            "keepalive_timeout": _KEEPALIVE_TIMEOUT,
            "max_field_size": MAX_HEADER_SIZE,
        }

    async def _make_server(self) -> web.Server:
        # aiohttp has no door for another kind of connection; this is the one place that goes in.
        server = await super()._make_server()
        return _Server(
            _answering_expectations(server.request_handler),
            request_factory=server.request_factory,
            **self._connection_settings,
        )
