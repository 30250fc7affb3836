"""
The last step of an answer: its head is completed, and it goes out.

Most answers are a few bytes that are there at once.  aiohttp sends these through what it needs for
streams, ten coroutines deep; here they are written in one go, octet for octet as it would
(a test holds that), in a third of the time.
"""

from collections.abc import Callable

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_writer import _serialize_headers
from multidict import istr

from server.web.cors import Cors
from server.web.exchange import EXCHANGE

SERVER_NAME = "keyturn"  # and no version

X_REQUEST_ID = istr("X-Request-Id")
_LEAST_STATUS = 200
_BODYLESS = frozenset({204, 304})
_WITH_BODY = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
# Who gives one of these has his own idea of how the answer is to be read.
_SET_HERE = (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.CONNECTION, hdrs.DATE)

Sign = Callable[[web.Request, web.StreamResponse], None]
"""Puts into the head of an answer what each one has."""

SIGN: web.AppKey[Sign] = web.AppKey("sign")


def sign_answers(app: web.Application, cors: Callable[[], Cors]) -> None:
    """Have the head of each answer of *app* name the request, and say by *cors* who may read it."""

    def sign(request: web.Request, response: web.StreamResponse) -> None:
        exchange = request[EXCHANGE]
        exchange.begun = response
        headers = response.headers
        headers[hdrs.SERVER] = SERVER_NAME
        headers[X_REQUEST_ID] = exchange.request_id
        cors().mark(request, response)

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        sign(request, response)

    app[SIGN] = sign
    app.on_response_prepare.append(on_prepare)


def write_at_once(request: web.Request, response: web.Response, sign: Sign) -> bool:
    """Write the whole of *response* and give true, if it is a usual one; else do nothing."""
    transport = request.transport
    body = b"" if response.body is None else response.body
    if not isinstance(body, bytes) or not _is_usual(request, response):
        return False
    if transport is None or transport.is_closing():
        return False
    headers = response.headers
    headers[hdrs.CONTENT_LENGTH] = str(len(body))
    if body:
        headers.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")
    headers[hdrs.DATE] = rfc822_formatted_time()
    sign(request, response)
    octets = _serialize_headers(f"HTTP/1.1 {response.status} {response.reason}", headers) + body
    transport.write(octets)
    response._keep_alive = response._eof_sent = True
    response._body_length = len(octets)
    return True


def _is_usual(request: web.Request, response: web.Response) -> bool:
    headers = response.headers
    return (
        response.__class__ is web.Response
        and request.version == HttpVersion11
        and request.keep_alive
        and response.keep_alive is None
        and request.method in _WITH_BODY
        and response.status >= _LEAST_STATUS
        and response.status not in _BODYLESS
        and not response.chunked
        and not response.compression
        and response._cookies is None
        and not response.prepared
        and (
            (len(headers) == 1 and hdrs.CONTENT_TYPE in headers)
            or not any(name in headers for name in _SET_HERE)
        )
    )
