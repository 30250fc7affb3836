"""What the server on trial serves: the quickstart's routes, and two that tell of it."""

import os

from aiohttp import web

from server.routes import ROUTES as QUICKSTART
from server.web import authenticated, get, post, public


async def who(_request: web.Request) -> web.Response:
    """Name the worker."""
    return web.Response(text=str(os.getpid()))


async def take_note(request: web.Request) -> web.Response:
    """Read a body."""
    return web.Response(text=str(len(await request.read())))


ROUTES = (*QUICKSTART, get("/who", who, public), post("/notes", take_note, authenticated))
