"""RFC 6749 sections 4.3, 4.4, 5.1 and 5.2; RFC 8707; RFC 9068."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from server.dev_issuer.signing_keys import SigningKeys
from server.oauth.access_token import AccessToken, verify
from server.oauth.jwk_set import parse_jwks
from server.oauth.policy import TokenPolicy
from server.oauth.unverified_token import UnverifiedToken

Issuer = TestClient[Any, Any]

ISSUER = "http://localhost:3011/"
AUDIENCE = "https://quickstarts/api"
POST_AUTH = {"client_id": "app", "client_secret": "s3cret"}
CREDENTIALS = {"grant_type": "client_credentials", **POST_AUTH}
PASSWORD = {
    "grant_type": "password",
    "username": "user@example.com",
    "password": "pwd",
    **POST_AUTH,
}


def basic(client_id: str = "app", secret: str = "s3cret") -> dict[str, str]:
    text = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": "Basic " + b64encode(text.encode()).decode()}


async def ask(issuer: Issuer, **form: str) -> ClientResponse:
    return await issuer.post("/oauth/token", data=form)


async def granted(
    response: ClientResponse, keys: SigningKeys, audience: str = AUDIENCE
) -> AccessToken:
    """Hold the answer against RFC 6749 section 5.1 and its token against all of RFC 9068."""
    body = await response.json()
    assert response.status == 200, body
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    token = UnverifiedToken.parse(body["access_token"])
    policy = TokenPolicy(issuer=ISSUER, audience=(audience,), profile="at+jwt")
    policy.check_algorithm(token)
    policy.check_type(token)
    access = verify(
        token,
        parse_jwks(keys.published).candidates(key_id=token.jws.key_id, algorithm="RS256"),
        policy,
        now=token.claims["iat"],
    )
    assert body.get("scope", "") == access.claims.get("scope", "")
    assert access.expires_at == token.claims["iat"] + 3600
    return access


async def refused(response: ClientResponse, error: str, status: int = 400) -> dict[str, str]:
    body: dict[str, str] = await response.json()
    assert (response.status, body["error"]) == (status, error)
    assert response.headers["Cache-Control"] == "no-store"
    return body


@pytest.mark.parametrize("how", ["data", "json"])
async def test_a_client_is_granted_a_token_by_form_and_by_json(
    issuer: Issuer, signing_keys: SigningKeys, how: str
) -> None:
    arguments: dict[str, Any] = {how: CREDENTIALS}

    access = await granted(await issuer.post("/oauth/token", **arguments), signing_keys)

    assert access.subject == access.client_id == "app"
    assert access.scopes == {"read:messages", "write:messages"}


@pytest.mark.parametrize(("name", "secret"), [("app", "s3cret"), ("odd:näme", "a:b c%")])
async def test_a_client_may_authenticate_with_http_basic(
    issuer: Issuer, signing_keys: SigningKeys, name: str, secret: str
) -> None:
    response = await issuer.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, headers=basic(name, secret)
    )

    assert (await granted(response, signing_keys)).client_id == name


async def test_a_client_must_not_authenticate_in_two_ways(issuer: Issuer) -> None:
    response = await issuer.post("/oauth/token", data=CREDENTIALS, headers=basic())

    await refused(response, "invalid_request")


@pytest.mark.parametrize("how", ["data", "json"])
async def test_a_user_is_granted_a_token_by_password(
    issuer: Issuer, signing_keys: SigningKeys, how: str
) -> None:
    arguments: dict[str, Any] = {how: PASSWORD}

    access = await granted(await issuer.post("/oauth/token", **arguments), signing_keys)

    assert (access.subject, access.client_id) == ("user@example.com", "app")
    assert access.scopes == {"read:messages"}, "what the user and the client both have"


async def test_a_client_gets_the_scope_that_it_asks_for(
    issuer: Issuer, signing_keys: SigningKeys
) -> None:
    response = await ask(issuer, **CREDENTIALS, scope="write:messages")

    assert (await granted(response, signing_keys)).scopes == {"write:messages"}


async def test_a_parameter_without_a_value_counts_as_omitted(
    issuer: Issuer, signing_keys: SigningKeys
) -> None:
    response = await ask(issuer, **CREDENTIALS, scope="", audience="")

    assert len((await granted(response, signing_keys)).scopes) == 2


async def test_a_client_without_scopes_gets_a_token_without(
    issuer: Issuer, signing_keys: SigningKeys
) -> None:
    access = await granted(await ask(issuer, **CREDENTIALS | {"client_id": "bare"}), signing_keys)

    assert access.scopes == frozenset()
    assert "scope" not in access.claims


async def test_a_token_is_for_the_audience_that_is_asked_for(
    issuer: Issuer, signing_keys: SigningKeys
) -> None:
    response = await ask(issuer, **CREDENTIALS, audience="https://other/api")

    await granted(response, signing_keys, audience="https://other/api")


async def test_no_two_tokens_have_the_same_id(issuer: Issuer, signing_keys: SigningKeys) -> None:
    ids = {(await granted(await ask(issuer, **CREDENTIALS), signing_keys)).token_id for _ in "ab"}

    assert len(ids) == 2


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (CREDENTIALS | {"scope": "admin"}, "invalid_scope"),
        (CREDENTIALS | {"scope": "read:messages admin"}, "invalid_scope"),
        (PASSWORD | {"scope": "admin"}, "invalid_scope"),
        (CREDENTIALS | {"audience": "https://else/api"}, "invalid_target"),
        (POST_AUTH, "invalid_request"),
        (CREDENTIALS | {"grant_type": "authorization_code"}, "unsupported_grant_type"),
        (CREDENTIALS | {"grant_type": "Password"}, "unsupported_grant_type"),
        (PASSWORD | {"password": "wrong"}, "invalid_grant"),
        (PASSWORD | {"username": "nobody"}, "invalid_grant"),
        ({k: v for k, v in PASSWORD.items() if k != "password"}, "invalid_request"),
        ({k: v for k, v in PASSWORD.items() if k != "username"}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("how", ["data", "json"])
async def test_a_request_that_cannot_be_granted_is_told_why(
    issuer: Issuer, form: dict[str, str], error: str, how: str
) -> None:
    arguments: dict[str, Any] = {how: form}

    await refused(await issuer.post("/oauth/token", **arguments), error)


@pytest.mark.parametrize(
    "form",
    [
        CREDENTIALS | {"client_secret": "wrong"},
        CREDENTIALS | {"client_secret": ""},
        CREDENTIALS | {"client_id": "nobody"},
        {"grant_type": "client_credentials"},
        {"grant_type": "client_credentials", "client_id": "app"},
        PASSWORD | {"client_secret": "wrong"},
    ],
    ids=str,
)
async def test_a_client_that_cannot_prove_itself_is_answered_alike(
    issuer: Issuer, form: dict[str, str]
) -> None:
    response = await ask(issuer, **form)

    body = await refused(response, "invalid_client", 401)
    assert body["error_description"] == "Client authentication failed"
    assert response.headers["WWW-Authenticate"] == f'Basic realm="{ISSUER}"'


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic !",
        "Basic " + b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + b64encode(b"app").decode(),
        "Basic " + b64encode(b"app:wrong").decode(),
        "Basic",
        "Bearer x",
        "Basic é",
    ],
)
async def test_hostile_credentials_are_no_crash(issuer: Issuer, authorization: str) -> None:
    response = await issuer.post(
        "/oauth/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": authorization},
    )

    await refused(response, "invalid_client", 401)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b'{"grant_type": 5}'),
        ("application/json", b'{"grant_type": "a", "grant_type": "b"}'),
        ("application/json", b"\xff"),
        ("application/x-www-form-urlencoded", b"grant_type=a&grant_type=b"),
        ("application/x-www-form-urlencoded", b"grant_type=%ff"),
        ("application/x-www-form-urlencoded; charset=bogus", b"\xff=\xff"),
        ("text/plain", b"hello"),
        ("application/x-www-form-urlencoded", b""),
    ],
)
async def test_a_body_that_cannot_be_read_is_an_invalid_request(
    issuer: Issuer, kind: str, body: bytes
) -> None:
    response = await issuer.post("/oauth/token", data=body, headers={"Content-Type": kind})

    await refused(response, "invalid_request")


async def test_an_error_quotes_nothing_that_is_no_text_for_it(issuer: Issuer) -> None:
    response = await ask(issuer, **CREDENTIALS | {"grant_type": '"\n<script>'})

    body = await refused(response, "unsupported_grant_type")
    assert "script" not in body.get("error_description", "")
