from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from structlog.typing import EventDict

from server.dev_issuer.signing_keys import SigningKeys
from server.jwks.connection import open_session
from server.jwks.discovery import discover
from server.oauth.jwk_set import parse_jwks
from tests.fakes import FakeClock

Issuer = TestClient[Any, Any]

PRIVATE = {"d", "p", "q", "dp", "dq", "qi"}


async def published(issuer: Issuer) -> list[str]:
    response = await issuer.get("/.well-known/jwks.json")
    return [key["kid"] for key in (await response.json())["keys"]]


@pytest.mark.parametrize("name", ["openid-configuration", "oauth-authorization-server"])
async def test_the_metadata_names_the_issuer_and_its_endpoints(issuer: Issuer, name: str) -> None:
    metadata = await (await issuer.get(f"/.well-known/{name}")).json()

    assert metadata["issuer"] == "http://localhost:3011/"
    assert metadata["token_endpoint"] == "http://localhost:3011/oauth/token"
    assert metadata["jwks_uri"] == "http://localhost:3011/.well-known/jwks.json"
    assert metadata["scopes_supported"] == ["read:messages", "write:messages"]


async def test_only_public_members_are_published(issuer: Issuer) -> None:
    response = await issuer.get("/.well-known/jwks.json")

    document = await response.json()
    assert response.headers["Cache-Control"] == "max-age=300"
    assert all(PRIVATE.isdisjoint(key) for key in document["keys"])
    keys = parse_jwks(document)
    assert [key.algorithms for key in keys.keys] == [{"RS256"}]
    assert not keys.unfit


async def test_a_rotated_key_stays_published_for_one_rotation(
    issuer: Issuer, signing_keys: SigningKeys, log: list[EventDict]
) -> None:
    (first,) = await published(issuer)

    answer = await issuer.post("/control/rotate")
    second = (await answer.json())["kid"]
    assert await published(issuer) == [second, first]
    assert signing_keys.current.kid == second

    third = (await (await issuer.post("/control/rotate", json={})).json())["kid"]
    assert await published(issuer) == [third, second]
    assert log[-1]["event"] == "dev_issuer.rotated"


async def test_the_key_turns_by_itself(
    issuer: Issuer, clock: FakeClock, log: list[EventDict]
) -> None:
    (first,) = await published(issuer)

    await clock.advance(599)
    assert await published(issuer) == [first]
    await clock.advance(1)
    while (now := await published(issuer)) == [first]:
        continue  # the new key is being made

    assert now[1:] == [first]


async def test_a_revoked_key_is_gone_at_once(issuer: Issuer) -> None:
    answer = await issuer.post("/control/rotate", json={"revoke": True})

    assert await published(issuer) == [(await answer.json())["kid"]]


async def test_a_wish_needs_no_content_type(issuer: Issuer) -> None:
    await issuer.post("/control/rotate", data=b'{"revoke": true}')

    assert len(await published(issuer)) == 1


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"revoke": "yes"}', b'{"revoke": 1}', b"\xff"])
async def test_a_wish_that_cannot_be_read_changes_nothing(issuer: Issuer, body: bytes) -> None:
    before = await published(issuer)

    response = await issuer.post("/control/rotate", data=body)

    assert response.status == 400
    assert (await response.json())["error"] == "invalid_request"
    assert await published(issuer) == before


async def test_pages_of_any_origin_may_ask(issuer: Issuer) -> None:
    preflight = await issuer.options("/oauth/token", headers={"Origin": "https://any.example"})
    refused = await issuer.post("/oauth/token")
    missing = await issuer.get("/nothing")

    assert preflight.status == 204
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    for response in (preflight, refused, missing):
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_our_own_discovery_takes_its_metadata(issuer: Issuer) -> None:
    base = str(issuer.make_url("/"))
    async with open_session() as session:
        with pytest.raises(Exception, match="another issuer"):
            await discover(session, base, endpoint="jwks_uri", timeout=5)
