"""A server with little patience, and what is held of it."""

import logging
from collections.abc import Iterator

import pytest
from aiohttp import web

from server.web import authenticated, post, public
from server.web.limits import Limits
from tests.conftest import Client, MakeClient


async def read_all(request: web.Request) -> web.Response:
    return web.Response(body=str(len(await request.read())))


@pytest.fixture
def calm(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever clients do, aiohttp has nothing to say of it."""
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


@pytest.fixture
async def hasty(make_client: MakeClient, haste: Limits) -> Client:
    rows = (post("/x", read_all, authenticated), post("/open", read_all, public))
    return await make_client(rows, limits=haste)
