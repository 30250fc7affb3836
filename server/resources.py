"""The protected resources themselves: the identity providers' quickstart."""

from typing import Any

import orjson
from aiohttp import web

from server.web import ACCESS_TOKEN


async def public_message(_request: web.Request) -> web.Response:
    """Greet anyone."""
    return _json({"message": "Hello from a public endpoint! You need no access token to see this."})


async def private_message(request: web.Request) -> web.Response:
    """Greet whoever has a valid access token."""
    return _message(
        request, "Hello from a private endpoint! You need a valid access token to see this."
    )


async def scoped_message(request: web.Request) -> web.Response:
    """Greet whoever has been granted a scope."""
    return _message(
        request,
        "Hello from a private endpoint! You need an access token with the scope read:messages "
        "to see this.",
    )


def _message(request: web.Request, text: str) -> web.Response:
    access = request[ACCESS_TOKEN]
    return _json({"message": text, "subject": access.subject, "scopes": sorted(access.scopes)})


def _json(document: dict[str, Any]) -> web.Response:
    body = orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=body, content_type="application/json")
