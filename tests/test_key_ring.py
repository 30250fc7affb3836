from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web
from pydantic import SecretStr
from pytest_aiohttp import AiohttpServer
from structlog.typing import EventDict

from server.issuer_settings import IssuerSettings
from server.jwks.connection import open_session
from server.jwks.fixed_key_set import FixedKeySet
from server.jwks.policy import RefreshPolicy
from server.key_ring import KeyRing
from server.metrics import Metrics
from tests.minting import AUDIENCE, ISSUER, private_key, public_jwk

POLICY = RefreshPolicy()
MEMORY = SecretStr("memory://")


class KeyServer:
    """Where keys are published, in two places, until it is down."""

    def __init__(self) -> None:
        self.base = ""
        self.is_down = False
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.is_down:
            raise web.HTTPServiceUnavailable
        return web.json_response({"keys": [public_jwk()]})

    def issuer(self, path: str = "keys", **settings: Any) -> IssuerSettings:
        place = {} if "jwks" in settings else {"jwks_uri": self.base + path}
        return IssuerSettings.model_validate(
            {"issuer": ISSUER, "audience": AUDIENCE, **place, **settings}
        )


@pytest.fixture
async def server(aiohttp_server: AiohttpServer) -> KeyServer:
    server = KeyServer()
    app = web.Application()
    app.router.add_get("/{path}", server.answer)
    server.base = str((await aiohttp_server(app)).make_url("/"))
    return server


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session() as session:
        yield session


@pytest.fixture
async def ring(session: ClientSession, log: list[EventDict]) -> AsyncIterator[KeyRing]:
    ring = KeyRing(session, Metrics())
    yield ring
    await ring.close()


async def test_an_issuer_that_has_not_changed_has_the_keys_that_it_had(
    ring: KeyRing, server: KeyServer
) -> None:
    (keys,) = ring.hold([server.issuer()], POLICY, MEMORY)
    await ring.until_tried([keys])

    again = ring.hold([server.issuer(leeway=5)], POLICY, MEMORY)

    assert again == (keys,), "its policy is not its keys'"
    assert server.asked == ["/keys"]


async def test_what_is_changed_and_changed_back_is_as_it_was(
    ring: KeyRing, server: KeyServer
) -> None:
    (keys,) = ring.hold([server.issuer()], POLICY, MEMORY)
    (changed,) = ring.hold([server.issuer()], RefreshPolicy(timeout=4), MEMORY)

    assert changed is not keys
    assert ring.hold([server.issuer()], POLICY, MEMORY) == (keys,)


@pytest.mark.parametrize(
    ("policy", "store"),
    [
        (RefreshPolicy(timeout=4), MEMORY),
        (POLICY, SecretStr("redis://127.0.0.1:1/0")),
    ],
)
async def test_what_changes_around_an_issuer_does_not_cost_its_keys(
    ring: KeyRing, server: KeyServer, policy: RefreshPolicy, store: SecretStr
) -> None:
    (keys,) = ring.hold([server.issuer()], POLICY, MEMORY)
    await ring.until_tried([keys])
    server.is_down = True

    (changed,) = ring.hold([server.issuer()], policy, store)

    assert changed is not keys
    assert changed.is_usable
    await ring.drop_all_but([changed])
    assert changed.is_usable


async def test_keys_from_elsewhere_are_other_keys(ring: KeyRing, server: KeyServer) -> None:
    (keys,) = ring.hold([server.issuer()], POLICY, MEMORY)
    await ring.until_tried([keys])

    (moved,) = ring.hold([server.issuer("elsewhere")], POLICY, MEMORY)

    assert not moved.is_usable
    await ring.until_tried([moved])
    assert moved.is_usable
    assert server.asked == ["/keys", "/elsewhere"]


async def test_keys_that_are_configured_anew_are_other_keys(
    ring: KeyRing, server: KeyServer
) -> None:
    (first,) = ring.hold([server.issuer(jwks={"keys": [public_jwk()]})], POLICY, MEMORY)
    other = {"keys": [public_jwk(private_key("RSA", "other"))]}

    (second,) = ring.hold([server.issuer(jwks=other)], POLICY, MEMORY)

    assert isinstance(second, FixedKeySet)
    assert second is not first


async def test_an_issuer_that_was_dropped_and_comes_back_is_kept_current_again(
    ring: KeyRing, server: KeyServer
) -> None:
    (keys,) = ring.hold([server.issuer()], POLICY, MEMORY)
    await ring.until_tried([keys])
    await ring.drop_all_but([])

    (again,) = ring.hold([server.issuer()], POLICY, MEMORY)

    assert again is not keys
    await ring.until_tried([again])
    assert again.is_usable
