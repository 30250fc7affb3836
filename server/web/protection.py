"""From a route's declaration to the decision."""

import asyncio
import re
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from server.oauth.errors import InvalidRequestError
from server.oauth.scope import ScopeRequirement
from server.protector import ResourceProtector
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
    table: RouteTable, protector: Callable[[], ResourceProtector], *, form_timeout: float = 10.0
) -> Middleware:
    """
    Make the middleware that lets through what the *protector* admits to the routes of *table*.

    Args:
        form_timeout: how long a form may take to arrive, in seconds.
    """

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        access = table.access_of(request)
        if isinstance(access, ScopeRequirement):
            authorization = request.headers.getall("Authorization", ())
            if "access_token" in request.query and _is_bearer(authorization):
                raise InvalidRequestError
            request[ACCESS_TOKEN] = await protector().admit(authorization, access)
            await _refuse_token_in_form(request, within=form_timeout)
        if access is not None:
            _refuse_packed_body(request)
        return await handler(request)

    return admit


def _is_bearer(authorization: list[str] | tuple[()]) -> bool:
    return any(value.lower().startswith("bearer ") for value in authorization)


async def _refuse_token_in_form(request: web.Request, *, within: float) -> None:
    # After admission: the body of a stranger is not read.  RFC 6750 section 2.
    if request.content_type == _FORM and request.can_read_body:
        try:
            async with asyncio.timeout(within):
                form = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        if _TOKEN_FIELD.search(form):
            raise InvalidRequestError


def _refuse_packed_body(request: web.Request) -> None:
    # RFC 9110 section 12.5.3: no body is unpacked here, and no handler gets one that is packed.
    encodings = request.headers.getall("Content-Encoding", ())
    if any(each.strip().lower() != "identity" for each in encodings):
        raise web.HTTPUnsupportedMediaType(headers={"Accept-Encoding": "identity"})
