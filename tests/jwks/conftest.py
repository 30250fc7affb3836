"""An issuer on a socket, an issuer in memory, and the keys that are kept of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiocache import BaseCache, SimpleMemoryCache
from aiocache.serializers import StringSerializer
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from pytest_aiohttp import AiohttpServer
from structlog.typing import EventDict

from server.jwks.connection import open_session
from server.jwks.policy import RefreshPolicy
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.oauth.unverified_token import UnverifiedToken
from server.shared_numbers import Cell
from tests.fakes import FakeClock, FakeIssuer, settle
from tests.minting import ISSUER, header, key_set, private_key, unsigned

RFC8414 = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def counted(cells: Mapping[Any, Cell]) -> dict[Any, float]:
    """Tell what has been counted at all."""
    return {each: cell.value for each, cell in cells.items() if cell.value}


class Endpoint:
    """An issuer's web server: what it answers on each path, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.base = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers.append(dict(request.headers))
        answer = self.answers.get(request.path)
        if answer is None:
            raise web.HTTPNotFound
        return await answer(request)

    def gives(self, path: str, document: Any, **headers: str) -> None:
        async def answer(_request: web.Request) -> web.Response:
            return web.json_response(document, headers=headers)

        self.answers[path] = answer

    def sends(self, path: str, **response: Any) -> None:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(**response)

        self.answers[path] = answer


@pytest.fixture
async def endpoint(aiohttp_server: AiohttpServer) -> Endpoint:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_get("/{path:.*}", endpoint.handle)
    server: TestServer = await aiohttp_server(app)
    endpoint.base = str(server.make_url("/"))
    return endpoint


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session() as session:
        yield session


OLD, NEW, NEWER = (private_key("RSA", name) for name in ("main", "other", "third"))

MakeKeys = Callable[..., RemoteKeySet]


def naming(key_id: str | None = OLD.kid) -> UnverifiedToken:
    return UnverifiedToken.parse(unsigned(header(kid=... if key_id is None else key_id)))


def events(log: list[EventDict], name: str) -> list[EventDict]:
    return [event for event in log if event["event"] == name]


@pytest.fixture
def issuer(clock: FakeClock) -> FakeIssuer:
    return FakeIssuer(key_set(OLD), clock=clock)


@pytest.fixture
def cache() -> BaseCache:
    """What the processes of a test share."""
    return SimpleMemoryCache(serializer=StringSerializer())


@pytest.fixture
def store(cache: BaseCache, clock: FakeClock, log: list[EventDict]) -> Store:
    return Store(cache, now=clock)


@pytest.fixture
def make_keys(
    issuer: FakeIssuer, clock: FakeClock, log: list[EventDict], cache: BaseCache
) -> MakeKeys:
    """Keep the issuer's keys as one of several processes that share a store."""

    def make(*, random: Callable[[], float] = lambda: 0.5, **settings: Any) -> RemoteKeySet:
        return RemoteKeySet(
            ISSUER,
            issuer.fetch,
            RefreshPolicy.model_validate(settings),
            SharedKeys(ISSUER, Store(cache, now=clock), clock=clock),
            now=clock,
            sleep=clock.sleep,
            random=random,
        )

    return make


@pytest.fixture
def keys(make_keys: MakeKeys) -> RemoteKeySet:
    return make_keys()


@pytest.fixture
async def running(keys: RemoteKeySet) -> AsyncIterator[RemoteKeySet]:
    async with kept_current(keys):
        yield keys


@asynccontextmanager
async def kept_current(keys: RemoteKeySet) -> AsyncIterator[RemoteKeySet]:
    task = asyncio.create_task(keys.run())
    await settle()
    try:
        yield keys
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
