"""The fixtures, asked for by name: whatever a test may want of a token, and what comes of it."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError
from structlog.typing import EventDict

from server.testing.issuer import TestIssuer
from server.web import (
    ACCESS_TOKEN,
    authenticated,
    claim_check,
    claim_equals,
    claim_includes,
    get,
    permission,
    public,
    scope,
)
from server.web.routing import RouteTableError
from tests.conftest import MakeClient

Bearer = Callable[..., dict[str, str]]


async def tell(request: web.Request) -> web.Response:
    access = request.get(ACCESS_TOKEN)
    return web.json_response(access and access.claims)


def is_adult(claims: Mapping[str, Any]) -> bool:
    return bool(claims["age"] >= 18)


ROUTES = (
    get("/public", tell, public),
    get("/any", tell, authenticated),
    get("/scope", tell, scope("a", "b")),
    get("/permission", tell, permission("drop")),
    get("/equals", tell, claim_equals("org", "acme")),
    get("/includes", tell, claim_includes("groups", "staff")),
    get("/check", tell, claim_check(is_adult, "adults only")),
)

ASKED: list[tuple[str, dict[str, Any], int, str | None]] = [
    ("/any", {}, 200, None),
    ("/scope", {"scopes": ["a", "b"]}, 200, None),
    ("/scope", {"scope": "b a c"}, 200, None),
    ("/scope", {"scopes": ["a"]}, 403, "insufficient_scope"),
    ("/scope", {"scopes": ["a", "b"], "scope": ...}, 403, "insufficient_scope"),
    ("/scope", {"scp": "a b"}, 200, None),
    ("/permission", {"permissions": ["drop"]}, 200, None),
    ("/permission", {"scopes": ["drop"]}, 403, "insufficient_scope"),
    ("/equals", {"org": "acme"}, 200, None),
    ("/equals", {"org": "other"}, 403, "insufficient_scope"),
    ("/includes", {"groups": ["staff", "guests"]}, 200, None),
    ("/includes", {"groups": ["guests"]}, 403, "insufficient_scope"),
    ("/check", {"age": 18}, 200, None),
    ("/check", {"age": 17}, 403, "insufficient_scope"),
    ("/check", {}, 403, "insufficient_scope"),
    ("/any", {"expires_in": -1}, 401, "expired"),
    ("/any", {"exp": 0}, 401, "expired"),
    ("/any", {"exp": ...}, 401, "invalid_claim"),
    ("/any", {"exp": "soon"}, 401, "invalid_claim"),
    ("/any", {"nbf": 2**40}, 401, "not_yet_valid"),
    ("/any", {"aud": "https://other.test"}, 401, "wrong_audience"),
    ("/any", {"aud": ["https://other.test", "https://api.test"]}, 200, None),
    ("/any", {"aud": ...}, 401, "invalid_claim"),
    ("/any", {"iss": "https://other.test/"}, 401, "untrusted_issuer"),
    ("/any", {"sub": ...}, 401, "invalid_claim"),
    ("/any", {"sub": ""}, 401, "invalid_claim"),
    ("/any", {"nonce": "n", "at_hash": "h"}, 401, "wrong_type"),
]


@pytest.mark.parametrize(("path", "asked", "status", "reason"), ASKED, ids=str)
async def test_a_token_is_as_it_was_asked_for(
    keyturn_client: MakeClient,
    bearer: Bearer,
    log: list[EventDict],
    path: str,
    asked: dict[str, Any],
    status: int,
    reason: str | None,
) -> None:
    client = await keyturn_client(ROUTES)

    answer = await client.get(path, headers=bearer(**asked))

    assert answer.status == status
    assert log[-1].get("auth.reason") == reason


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"])
async def test_the_strict_profile_misses_each_claim(
    keyturn_client: MakeClient, bearer: Bearer, name: str
) -> None:
    client = await keyturn_client(ROUTES)

    assert (await client.get("/any", headers=bearer())).status == 200
    assert (await client.get("/any", headers=bearer(**{name: ...}))).status == 401


async def test_a_handler_has_the_claims_that_were_minted(
    keyturn_client: MakeClient, bearer: Bearer
) -> None:
    client = await keyturn_client(ROUTES)

    answer = await client.get("/any", headers=bearer(["a"], sub="ann", org="acme"))

    claims = await answer.json()
    assert (claims["sub"], claims["org"], claims["scope"]) == ("ann", "acme", "a")


async def test_strangers_see_what_is_public_and_no_more(keyturn_client: MakeClient) -> None:
    client = await keyturn_client(ROUTES)

    assert (await client.get("/public")).status == 200
    assert (await client.get("/any")).status == 401
    assert (await client.get("/nowhere")).status == 404


async def test_an_impostor_is_not_believed(
    keyturn_client: MakeClient, keyturn_issuer: TestIssuer, log: list[EventDict]
) -> None:
    impostor = TestIssuer(keyturn_issuer.name)
    client = await keyturn_client(ROUTES)

    answer = await client.get("/any", headers=impostor.bearer())

    assert answer.status == 401
    assert log[-1]["auth.reason"] == "unknown_key"


async def test_the_text_of_a_token_may_be_sent_by_other_ways(
    keyturn_client: MakeClient, mint_token: Callable[..., str]
) -> None:
    client = await keyturn_client(ROUTES)
    compact = mint_token(["a", "b"])

    answer = await client.get("/scope", headers={"Authorization": f"bearer {compact}"})
    assert answer.status == 200
    assert (await client.get(f"/scope?access_token={compact}")).status == 401


SETTINGS: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    ({"audience": "https://other.test"}, {}, 401),
    ({"audience": ["https://other.test", "https://api.test"]}, {}, 200),
    ({"leeway": "60s"}, {"expires_in": -30}, 200),
    ({"max_token_age": "1m"}, {"iat": 1_700_000_000}, 401),
    ({"profile": "jwt"}, {"scope": ["a"]}, 200),
    ({}, {"scope": ["a"]}, 401),
    ({"profile": "jwt"}, {"sub": ...}, 200),
    ({"token_cache": {"size": 0}}, {}, 200),
]


@pytest.mark.parametrize(("settings", "asked", "status"), SETTINGS, ids=str)
async def test_a_token_is_judged_by_the_settings_that_are_given(
    keyturn_client: MakeClient,
    bearer: Bearer,
    settings: dict[str, Any],
    asked: dict[str, Any],
    status: int,
) -> None:
    client = await keyturn_client(ROUTES, **settings)

    assert (await client.get("/any", headers=bearer(**asked))).status == status


async def test_scopes_are_read_where_the_settings_say(
    keyturn_client: MakeClient, bearer: Bearer
) -> None:
    client = await keyturn_client(ROUTES, scope_claims=["permissions"])

    assert (await client.get("/scope", headers=bearer(["a", "b"]))).status == 403
    assert (await client.get("/scope", headers=bearer(permissions=["a", "b"]))).status == 200


async def test_answers_are_those_of_the_product(keyturn_client: MakeClient) -> None:
    origin = "https://app.test"
    client = await keyturn_client(ROUTES, realm="shop", cors={"origins": [origin]})

    answer = await client.get("/any", headers={"Origin": origin, "X-Request-Id": "r1"})

    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="shop"'
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Server"] == "keyturn"
    assert answer.content_type == "application/problem+json"
    assert (await answer.json())["request_id"] == "r1"


async def test_connections_are_those_of_the_product(
    keyturn_client: MakeClient, bearer: Bearer
) -> None:
    client = await keyturn_client(ROUTES)

    assert (await client.get("/any", headers=bearer(big="x" * 9_000))).status == 401
    assert (await client.get("/any", headers=bearer(big="x" * 16_000))).status == 431


async def test_two_tables_may_be_served_in_one_test(
    keyturn_client: MakeClient, bearer: Bearer
) -> None:
    one, other = await keyturn_client(ROUTES[:1]), await keyturn_client(ROUTES[1:])

    assert (await one.get("/any", headers=bearer())).status == 404
    assert (await other.get("/any", headers=bearer())).status == 200


@pytest.mark.parametrize("name", ["algorithms", "jwks", "listen", "routes", "relam"])
async def test_a_setting_that_would_do_nothing_is_refused(
    keyturn_client: MakeClient, name: str
) -> None:
    with pytest.raises(TypeError, match=f"^{name}: no setting of a test, which has audience, cors"):
        await keyturn_client(ROUTES, **{name: "x"})


async def test_settings_and_tables_are_checked_as_the_product_checks_them(
    keyturn_client: MakeClient,
) -> None:
    with pytest.raises(ValidationError, match="write a duration"):
        await keyturn_client(ROUTES, leeway="soon")
    with pytest.raises(RouteTableError, match="twice"):
        await keyturn_client((*ROUTES, ROUTES[0]))
