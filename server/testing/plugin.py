"""
The pytest plugin: fixtures to test routes with.

Every run of pytest in an environment with Keyturn loads this file, whatever it tests.  So it needs
pytest alone, and what the fixtures need is imported by those who ask for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from aiohttp import web
    from aiohttp.test_utils import TestClient

    from server.testing.issuer import TestIssuer
    from server.web.routing import Route

    Client = TestClient[web.Request, web.Application]


@pytest.fixture(scope="session")
def keyturn_issuer() -> TestIssuer:
    """
    Who is believed.

    Where its name or its audience matter, write a fixture of the same name in conftest.py.
    """
    from server.testing.issuer import TestIssuer

    return TestIssuer()


@pytest.fixture
def mint_token(keyturn_issuer: TestIssuer) -> Callable[..., str]:
    """Mint an access token: ``mint_token(["read:messages"], org="acme")``."""
    return keyturn_issuer.mint


@pytest.fixture
def bearer(keyturn_issuer: TestIssuer) -> Callable[..., dict[str, str]]:
    """Mint an access token and give the headers that carry it: ``bearer(["read:messages"])``."""
    return keyturn_issuer.bearer


@pytest.fixture
def keyturn_client(
    request: pytest.FixtureRequest, keyturn_issuer: TestIssuer
) -> Iterator[Callable[..., Awaitable[Client]]]:
    """
    Serve a route table as Keyturn does, and give a client of it.

    ``client = await keyturn_client(ROUTES, realm="shop")``; settings are those of KeyturnServer.
    """
    try:
        aiohttp_client = request.getfixturevalue("aiohttp_client")
    except pytest.FixtureLookupError:
        missing = 'keyturn_client needs pytest-aiohttp: pip install "keyturn[testing]"'
        raise pytest.fail.Exception(missing, pytrace=False) from None
    import structlog

    from server import logs
    from server.testing.serving import KeyturnServer

    theirs = structlog.is_configured()
    if not theirs:
        # Left alone it would show the variables of what crashes, and with them tokens.
        logs.configure_for_tests()

    async def serve(rows: Iterable[Route], **settings: Any) -> Client:
        client: Client = await aiohttp_client(KeyturnServer(rows, keyturn_issuer, **settings))
        return client

    yield serve
    if not theirs:
        structlog.reset_defaults()
