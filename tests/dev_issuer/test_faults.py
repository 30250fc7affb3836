"""What our own client makes of each fault, over a real socket."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession
from aiohttp.test_utils import TestClient

from server.jwks.client import IssuerClient
from server.jwks.connection import open_session
from server.jwks.document import JWKSFetchError
from tests.fakes import FakeClock, settle

Issuer = TestClient[Any, Any]

JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/openid-configuration"


async def fault(issuer: Issuer, mode: str, **wish: object) -> None:
    answer = await issuer.post("/control/fault", json={"mode": mode, **wish})
    assert answer.status == 200, await answer.text()


async def fetch(issuer: Issuer, session: ClientSession, *, timeout: float = 5) -> int:
    client = IssuerClient(
        session,
        "https://issuer.example/",
        jwks_uri=str(issuer.make_url(JWKS)),
        timeout=timeout,
        now=FakeClock(),
    )
    return len((await client.fetch_key_set()).keys.keys)


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("down", "the connection was cut"),
        ("slow", "in time"),
        ("error", "answered 500"),
        ("garbage", "JSON object"),
        ("empty", "no usable key"),
        ("huge", "more than 262144 bytes"),
        ("redirect", "answered 302"),
        ("truncated", "JSON object"),
    ],
)
async def test_each_fault_is_one_and_can_be_healed(issuer: Issuer, mode: str, cause: str) -> None:
    async with open_session() as session:
        await fault(issuer, mode)
        with pytest.raises(JWKSFetchError, match=cause):
            await fetch(issuer, session, timeout=0.2)

        await fault(issuer, "none")

        assert await fetch(issuer, session) == 1


@pytest.mark.parametrize("mode", ["error", "garbage", "truncated"])
async def test_the_metadata_misbehaves_as_well(issuer: Issuer, mode: str) -> None:
    sound = await (await issuer.get(METADATA)).text()
    await fault(issuer, mode)

    answer = await issuer.get(METADATA)

    assert answer.status == (500 if mode == "error" else 200)
    assert await answer.text() != sound


async def test_a_fault_heals_by_itself(issuer: Issuer, clock: FakeClock) -> None:
    await fault(issuer, "error", seconds=20)
    await clock.advance(19)
    assert (await issuer.get(JWKS)).status == 500

    await clock.advance(1)

    assert (await issuer.get(JWKS)).status == 200


async def test_who_is_slow_answers_after_ten_seconds(issuer: Issuer, clock: FakeClock) -> None:
    await fault(issuer, "slow", seconds="30s")
    async with open_session() as session:
        with pytest.raises(JWKSFetchError):
            await fetch(issuer, session, timeout=0.2)
    asked = issuer.get(JWKS)
    task = asyncio.ensure_future(asked)
    await settle()

    while not task.done():
        await clock.advance(10)

    assert (await task).status == 200


async def test_tokens_and_rotations_are_to_be_had_during_a_fault(issuer: Issuer) -> None:
    await fault(issuer, "down")

    with pytest.raises(ClientError):
        await issuer.get(JWKS)
    assert (await issuer.post("/control/rotate")).status == 200
    form = {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s3cret"}
    assert (await issuer.post("/oauth/token", data=form)).status == 200


@pytest.mark.parametrize(
    "wish",
    [
        {}, {"mode": "odd"}, {"mode": 5}, {"mode": "down", "seconds": 0}, {"mode": "down", "seconds": -1},
        {"mode": "down", "seconds": "soon"}, {"mode": "down", "seconds": 10**9}, {"mode": "down", "for": 1}, [], "x",
    ],
    ids=str,
)  # fmt: skip
async def test_a_wish_that_makes_no_sense_changes_nothing(issuer: Issuer, wish: object) -> None:
    answer = await issuer.post("/control/fault", json=wish)

    assert answer.status == 400
    assert (await answer.json())["error"] == "invalid_request"
    assert (await issuer.get(JWKS)).status == 200


async def test_keys_that_have_not_changed_are_confirmed(issuer: Issuer) -> None:
    tag = (await issuer.get(JWKS)).headers["ETag"]

    confirmed = await issuer.get(JWKS, headers={"If-None-Match": f'"other", {tag}'})
    await issuer.post("/control/rotate")
    rotated = await issuer.get(JWKS, headers={"If-None-Match": tag})

    assert confirmed.status == 304
    assert confirmed.headers["Cache-Control"] == "max-age=300"
    assert confirmed.headers["ETag"] == tag
    assert rotated.status == 200
