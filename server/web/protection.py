"""From a route's declaration to the decision."""

import re
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from server.oauth.errors import InvalidRequestError
from server.oauth.scope import ScopeRequirement
from server.protector import ResourceProtector
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


def protect(table: RouteTable, protector: Callable[[], ResourceProtector]) -> Middleware:
    """Make the middleware that lets through what *protector* admits to the routes of *table*."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        access = table.access_of(request)
        if access is None:
            return await handler(request)
        if isinstance(access, ScopeRequirement):
            authorization = request.headers.getall("Authorization", ())
            if "access_token" in request.query and _is_bearer(authorization):
                raise InvalidRequestError
            request[ACCESS_TOKEN] = await protector().admit(authorization, access)
        # From here on its sender is welcome, and the body may be read.
        _refuse_packed_body(request)
        await invite_body(request)
        if isinstance(access, ScopeRequirement):
            await _refuse_token_in_form(request)
        return await handler(request)

    return admit


def _is_bearer(authorization: list[str] | tuple[()]) -> bool:
    return any(value.lower().startswith("bearer ") for value in authorization)


async def _refuse_token_in_form(request: web.Request) -> None:
    # After admission: the body of a stranger is not read.  RFC 6750 section 2.
    is_form = request.content_type == _FORM and request.can_read_body
    if is_form and _TOKEN_FIELD.search(await request.read()):
        raise InvalidRequestError


def _refuse_packed_body(request: web.Request) -> None:
    # RFC 9110 section 12.5.3: no body is unpacked here, and no handler gets one that is packed.
    encodings = request.headers.getall("Content-Encoding", ())
    if any(each.strip().lower() != "identity" for each in encodings):
        raise web.HTTPUnsupportedMediaType(headers={"Accept-Encoding": "identity"})
