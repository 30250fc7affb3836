"""From a route's declaration to the decision."""

import re
from collections.abc import Callable, Sequence

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from server.oauth.errors import InvalidRequestError
from server.oauth.scope import ScopeRequirement
from server.protector import ResourceProtector
from server.web.cors import Cors
from server.web.exchange import EXCHANGE
from server.web.patience import invite_body
from server.web.routing import ACCESS_TOKEN, RouteTable

_FORM = "application/x-www-form-urlencoded"
# The field's name, each letter as it is or percent-encoded.  A form is not taken apart for it:
# that would take as long as its sender likes.
_TOKEN_FIELD = re.compile(
    b"(?:^|&)"
    + b"".join(b"(?:%c|%%%02x|%%%02X)" % (letter, letter, letter) for letter in b"access_token")
    + b"(?:=|&|$)"
)


def protect(
    table: RouteTable, protector: Callable[[], ResourceProtector], cors: Callable[[], Cors]
) -> Middleware:
    """Make the middleware that lets through what *protector* admits to the routes of *table*."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        exchange = request[EXCHANGE]
        exchange.served = served = table.find(request)
        # A preflight is asked for no token, whatever route it is for.
        if request.method == hdrs.METH_OPTIONS and (answer := cors().answer_preflight(request)):
            return answer
        if served is None:
            return await handler(request)
        headers = request.headers
        if isinstance(served.access, ScopeRequirement):
            authorization = headers.getall(hdrs.AUTHORIZATION, ())
            if request.query_string:
                _refuse_token_in_query(request, authorization)
            access = await protector().admit(authorization, served.access)
            exchange.admit(access)
            request[ACCESS_TOKEN] = access
        # From here on its sender is welcome, and the body may be read.
        if hdrs.CONTENT_ENCODING in headers:
            _refuse_packed_body(request)
        if request.can_read_body:
            _refuse_large_body(request)
            await invite_body(request)
            if isinstance(served.access, ScopeRequirement):
                await _refuse_token_in_form(request)
        return await handler(request)

    return admit


def _refuse_token_in_query(request: web.Request, authorization: Sequence[str]) -> None:
    if "access_token" in request.query and _is_bearer(authorization):
        raise InvalidRequestError


def _is_bearer(authorization: Sequence[str]) -> bool:
    return any(value.lower().startswith("bearer ") for value in authorization)


async def _refuse_token_in_form(request: web.Request) -> None:
    # After admission: the body of a stranger is not read.  RFC 6750 section 2.
    if request.content_type == _FORM and _TOKEN_FIELD.search(await request.read()):
        raise InvalidRequestError


def _refuse_packed_body(request: web.Request) -> None:
    # RFC 9110 section 12.5.3: no body is unpacked here, and no handler gets one that is packed.
    encodings = request.headers.getall("Content-Encoding", ())
    if any(each.strip().lower() != "identity" for each in encodings):
        raise web.HTTPUnsupportedMediaType(headers={"Accept-Encoding": "identity"})


def _refuse_large_body(request: web.Request) -> None:
    # By what its sender tells, or has sent already; the connection sees to what is still to come.
    size = max(request.content_length or 0, request.content.total_bytes)
    if size > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size)
