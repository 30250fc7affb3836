"""What aiohttp would see to before any middleware."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from server.web.answering import X_REQUEST_ID
from server.web.connection import Connection, Handle
from server.web.exchange import EXCHANGE, Exchange
from server.web.refusal import refusal

_CONTINUE = "100-continue"
_VERSIONS = frozenset({HttpVersion10, HttpVersion11})

RequestFactory = Callable[..., web.BaseRequest]


def tolerant(make: RequestFactory) -> RequestFactory:
    """Make requests of whatever has been parsed, each with a record of what becomes of it."""

    def make_request(message: RawRequestMessage, *connection: Any) -> web.BaseRequest:
        expectation, is_readable = None, True
        if hdrs.EXPECT in message.headers:
            # aiohttp would invite the body of a stranger before anything is asked of him.
            expectation = message.headers[hdrs.EXPECT].lower()
            others = [each for each in message.headers.items() if each[0].lower() != "expect"]
            message = message._replace(headers=CIMultiDictProxy(CIMultiDict(others)))
        try:
            request = make(message, *connection)
        except ValueError:
            # An address that is none (an impossible host) would end the connection in silence.
            request, is_readable = make(message._replace(url=URL("/")), *connection), False
        sent_id = message.headers.get(X_REQUEST_ID)
        request[EXCHANGE] = Exchange(sent_id, expectation, is_readable=is_readable)
        return request

    return make_request


def last(make: RequestFactory) -> RequestFactory:
    """Make requests that are the last of their connection."""

    def make_request(message: RawRequestMessage, *connection: Any) -> web.BaseRequest:
        return make(message._replace(should_close=True), *connection)

    return make_request


def at_the_door(handle: Handle) -> Handle:
    """Have *handle* answer what is fit for it."""

    async def judge(request: web.BaseRequest) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        if not exchange.is_readable:
            return refusal(400, request_id=exchange.request_id)
        if request.version not in _VERSIONS:
            return refusal(505, request_id=exchange.request_id)
        if exchange.expectation not in {None, _CONTINUE}:
            return refusal(417, request_id=exchange.request_id)
        return await handle(request)

    def answer(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        exchange = request[EXCHANGE]
        connection = request.protocol
        if isinstance(connection, Connection) and not request.content.is_eof():
            return connection.handle_with_patience(request, judge)
        if exchange.is_readable and exchange.expectation is None and request.version in _VERSIONS:
            return handle(request)  # the usual case, and no coroutine more for it
        return judge(request)

    return answer
