"""Misbehaving on command, as issuers do when they are down, slow, broken or replaced."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any

import orjson
from aiohttp import web
from pydantic import Field

from server.settings import Seconds, Settings

# In seconds.
_SLOWNESS = 10.0
_DAY = 86400

# In bytes.
_HUGE = 1024**3
_CHUNK = b" " * 64 * 1024
_HTML = "<!doctype html><title>Sorry</title><h1>We are down for maintenance</h1>"


class Mode(StrEnum):
    """How to misbehave."""

    NONE = "none"
    DOWN = "down"
    SLOW = "slow"
    ERROR = "error"
    GARBAGE = "garbage"
    EMPTY = "empty"
    HUGE = "huge"
    REDIRECT = "redirect"
    TRUNCATED = "truncated"


class FaultWish(Settings):
    """
    What to do, and for how long.

    Attributes:
        seconds: until it heals by itself.
    """

    mode: Mode
    seconds: Annotated[Seconds, Field(gt=0, le=_DAY)] = 30.0


class Faults:
    """
    The fault that is on, if any, and what it makes of an answer.

    Args:
        now: the monotonic clock.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._wish = FaultWish(mode=Mode.NONE)
        self._until = 0.0

    def set(self, wish: FaultWish) -> None:
        """Misbehave as *wish* says, from now on."""
        self._wish = wish
        self._until = self._now() + wish.seconds

    @property
    def mode(self) -> Mode:
        """How we misbehave now."""
        return self._wish.mode if self._now() < self._until else Mode.NONE

    async def answer(
        self, request: web.Request, document: Mapping[str, Any], headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Answer with *document*, or as the fault that is on would have it."""
        body = orjson.dumps(document)
        match self.mode:
            case Mode.DOWN:
                return _cut(request)
            case Mode.HUGE:
                return await _pour(request)
            case Mode.ERROR:
                raise web.HTTPInternalServerError
            case Mode.REDIRECT:
                raise web.HTTPFound("/elsewhere")
            case Mode.GARBAGE:
                return web.Response(text=_HTML, content_type="text/html")
            case Mode.EMPTY if "keys" in document:
                body = orjson.dumps({"keys": []})
            case Mode.TRUNCATED:
                body = body[: len(body) // 2]
            case Mode.SLOW:
                await self._sleep(_SLOWNESS)
        return _conditional(request, body, headers)


def _conditional(
    request: web.Request, body: bytes, headers: Mapping[str, str]
) -> web.StreamResponse:
    tag = sha256(body).hexdigest()[:32]
    response = web.Response(body=body, content_type="application/json", headers=headers)
    response.etag = tag
    if any(each.value == tag for each in request.if_none_match or ()):
        response = web.Response(status=304, headers=response.headers)
    return response


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _pour(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    with suppress(ConnectionError):  # whoever asked has had enough
        await response.prepare(request)
        await response.write(b'{"keys": [')
        for _ in range(_HUGE // len(_CHUNK)):
            await response.write(_CHUNK)
    return response
