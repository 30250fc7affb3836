"""What tests ask for by name."""

import logging
import shutil
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import settings
from pytest_aiohttp import AiohttpClient
from structlog.typing import EventDict

from server.app import Rules, create_api
from server.config import Config
from server.logs.libraries import LibraryHandler
from server.protector import Issuer, ResourceProtector
from server.routes import ROUTES
from server.token_cache import TokenCache, TokenCacheSettings
from server.web.client_address import TrustedProxies
from server.web.connection import Connection
from server.web.cors import Cors
from server.web.limits import USUAL_LIMITS, Limits
from server.web.listener import Connect, Runner
from server.web.routing import Route
from tests.fakes import FakeClock, StaticKeys
from tests.log_schema import captured
from tests.minting import AUDIENCE, ISSUER, NOW, policy
from tests.processes import Redis

# What `make fuzz` fires; the suite itself has less time.  No example is timed.
settings.register_profile("suite", deadline=None)
settings.register_profile("fuzz", max_examples=10_000, deadline=None)
settings.load_profile("suite")


class KeyturnServer(TestServer):
    """A test server with the connections that the product has."""

    async def _make_runner(self, **_kwargs: Any) -> web.AppRunner:
        assert isinstance(self.app, web.Application)
        return Runner(
            self.app,
            shutdown_timeout=0.1,
            log_requests=True,
            limits=self.limits,
            room=self.limits.max_connections,
            proxies=self.proxies,
            connect=self.connect,
        )

    def __init__(
        self,
        app: web.Application,
        *,
        limits: Limits = USUAL_LIMITS,
        proxies: TrustedProxies = (),
        connect: Connect = Connection,
    ) -> None:
        super().__init__(app)
        self.app = app
        self.limits = limits
        self.proxies = proxies
        self.connect = connect


Client = TestClient[Any, Any]
MakeClient = Callable[..., Awaitable[Client]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys() -> StaticKeys:
    return StaticKeys()


@pytest.fixture
def protector(keys: StaticKeys) -> ResourceProtector:
    return ResourceProtector(
        [Issuer(policy(), keys)],
        TokenCache(TokenCacheSettings()),
        clock=lambda: NOW,
    )


@pytest.fixture
def log() -> Iterator[list[EventDict]]:
    structlog.reset_defaults()
    with captured() as events:
        yield events


@pytest.fixture
def make_client(
    aiohttp_client: AiohttpClient, protector: ResourceProtector, log: list[EventDict]
) -> MakeClient:
    """Serve *rows* with the parts of the product that face the client."""

    async def make(
        rows: tuple[Route, ...] = ROUTES,
        *,
        limits: Limits = USUAL_LIMITS,
        proxies: TrustedProxies = (),
        connect: Connect = Connection,
        prepare: Callable[[web.Application], None] = lambda _app: None,
        **configured: Any,
    ) -> Client:
        config = Config.model_validate(
            {"issuers": [{"issuer": ISSUER, "audience": AUDIENCE}], **configured}
        )
        rules = Rules(config.realm, Cors(config.cors), protector)
        app = create_api(rows, lambda: rules, max_body_size=limits.max_body_size)
        prepare(app)
        client: Client = await aiohttp_client(
            KeyturnServer(app, limits=limits, proxies=proxies, connect=connect)
        )
        return client

    return make


@pytest.fixture
async def client(make_client: MakeClient) -> Client:
    return await make_client()


@pytest.fixture
def redis() -> Iterator[Redis]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on the PATH (Debian and Ubuntu: apt install redis-server)")
    redis = Redis(program)
    yield redis
    redis.stop()


@pytest.fixture(autouse=True)
def _logging_is_as_it_was() -> Iterator[None]:
    # What the product configures for its process outlives the test that has it configured.
    with warnings.catch_warnings():
        yield
    structlog.reset_defaults()
    root = logging.getLogger()
    for each in [each for each in root.handlers if isinstance(each, LibraryHandler)]:
        root.removeHandler(each)
