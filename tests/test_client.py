import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp import AiohttpServer

from server.client import TokenQuery, TokenRefusedError, is_still_published, request_token
from server.jwks.connection import open_session
from tests.minting import header, private_key, public_jwk, unsigned


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session() as session:
        yield session


class TokenEndpoint:
    """An issuer that answers token requests as it is told to."""

    def __init__(self) -> None:
        self.base = ""
        self.answer: Callable[[], web.Response] = web.Response
        self.form: dict[str, Any] = {}
        self.keys: Any = {"keys": [public_jwk(kid="here")]}

    async def metadata(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.base,
                "token_endpoint": self.base + "token",
                "jwks_uri": self.base + "keys",
            }
        )

    async def token(self, request: web.Request) -> web.Response:
        self.form = dict(await request.post())
        return self.answer()

    async def jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self.keys)

    def query(self, **changes: Any) -> TokenQuery:
        return TokenQuery(
            **{"issuer": self.base, "client_id": "a", "client_secret": "s", **changes}
        )


@pytest.fixture
async def endpoint(aiohttp_server: AiohttpServer) -> TokenEndpoint:
    endpoint = TokenEndpoint()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", endpoint.metadata)
    app.router.add_post("/token", endpoint.token)
    app.router.add_get("/keys", endpoint.jwks)
    endpoint.base = str((await aiohttp_server(app)).make_url("/"))
    return endpoint


async def test_client_credentials_are_sent_as_a_form(
    session: ClientSession, endpoint: TokenEndpoint
) -> None:
    endpoint.answer = lambda: web.json_response({"access_token": "t", "expires_in": 5})

    answer = await request_token(session, endpoint.query(scope="a b", audience="x"))

    assert answer == {"access_token": "t", "expires_in": 5}
    assert endpoint.form == {
        "grant_type": "client_credentials",
        "client_id": "a",
        "client_secret": "s",
        "scope": "a b",
        "audience": "x",
    }


async def test_a_user_makes_it_a_password_grant(
    session: ClientSession, endpoint: TokenEndpoint
) -> None:
    endpoint.answer = lambda: web.json_response({"access_token": "t"})

    await request_token(session, endpoint.query(username="u", password="p"))

    assert endpoint.form["grant_type"] == "password"
    assert (endpoint.form["username"], endpoint.form["password"]) == ("u", "p")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: web.json_response({"error": "x", "error_description": "why"}, status=400), "^x: why$"),
        (lambda: web.json_response({"error": "x"}, status=400), "^x$"),
        (lambda: web.json_response({"error": 5}, status=400), "answered 400, and no token"),
        (lambda: web.json_response({"access_token": 5}), "answered 200, and no token"),
        (lambda: web.json_response({"access_token": ""}), "answered 200, and no token"),
        (lambda: web.json_response({"access_token": "a\x1b[2J"}), "answered 200, and no token"),
        (lambda: web.json_response([]), "did not answer with a JSON object"),
        (lambda: web.Response(text="<html>"), "did not answer with a JSON object"),
        (lambda: web.Response(text='{"access_token": "\\ud800"}'), "did not answer with a JSON object"),
        (lambda: web.Response(text="[" * 100_000), "did not answer with a JSON object"),
        (lambda: web.Response(body=b"{}", headers={"Content-Type": "text/plain; charset=hex"}), "no token"),
        (lambda: web.Response(text="x" * 300_000), "more than 262144 bytes"),
        (lambda: web.Response(status=302, headers={"Location": "/keys"}), "did not answer with a JSON object"),
    ],
)  # fmt: skip
async def test_what_is_no_token_is_told_in_the_issuers_words(
    session: ClientSession,
    endpoint: TokenEndpoint,
    answer: Callable[[], web.Response],
    words: str,
) -> None:
    endpoint.answer = answer

    with pytest.raises(TokenRefusedError, match=words):
        await request_token(session, endpoint.query())


async def test_an_issuer_that_is_not_there_is_told(
    session: ClientSession, unused_tcp_port: int
) -> None:
    query = TokenQuery(f"http://127.0.0.1:{unused_tcp_port}/", "a", "s")

    with pytest.raises(TokenRefusedError, match="could not be fetched"):
        await request_token(session, query)


def test_a_query_has_a_name_that_tells_nothing_of_it() -> None:
    query = TokenQuery("https://i.example/", "client", "s3cret")
    other = TokenQuery("https://i.example/", "client", "s3cret", scope="a")

    assert query.digest != other.digest
    assert len(query.digest) == 64
    assert "s3cret" not in json.dumps(query.digest)


async def test_a_token_is_worth_keeping_while_its_key_is_published(
    session: ClientSession, endpoint: TokenEndpoint
) -> None:
    here, gone = (unsigned(header(kid=kid)) for kid in ("here", "gone"))

    assert await is_still_published(session, endpoint.base, here)
    assert not await is_still_published(session, endpoint.base, gone)
    endpoint.keys = {"keys": 5}
    assert not await is_still_published(session, endpoint.base, here)


async def test_a_token_that_is_no_jwt_is_kept_until_it_expires(
    session: ClientSession, endpoint: TokenEndpoint
) -> None:
    assert await is_still_published(session, endpoint.base, "opaque")


async def test_a_token_of_an_issuer_that_is_gone_is_not_worth_keeping(
    session: ClientSession, unused_tcp_port: int
) -> None:
    sound = unsigned(header(kid=private_key().kid))

    assert not await is_still_published(session, f"http://127.0.0.1:{unused_tcp_port}/", sound)
