import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict
from pytest_aiohttp import AiohttpServer

from server.jwks.client import (
    IssuerClient,
    JWKSFetchError,
    discover,
    fetch_document,
    open_session,
)
from tests.fakes import FakeClock
from tests.minting import public_jwk

RFC8414 = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


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


async def fetch(session: ClientSession, endpoint: Endpoint, *, timeout: float = 5) -> Any:
    return await fetch_document(session, endpoint.base + "keys", timeout=timeout)


async def test_a_document_comes_with_its_headers(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives("/keys", {"keys": []}, **{"Cache-Control": "max-age=60"})

    document = await fetch(session, endpoint)

    assert document.members == {"keys": []}
    assert document.headers["Cache-Control"] == "max-age=60"


async def test_a_fresh_document_is_asked_for_past_the_caches(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives("/keys", {})

    await fetch_document(session, endpoint.base + "keys", timeout=5, fresh=True)
    await fetch(session, endpoint)

    assert [each.get("Cache-Control") for each in endpoint.headers] == ["no-cache", None]


BOMB = gzip.compress(b'{"keys": "' + b"x" * 10_000_000 + b'"}')


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        ({"status": 500}, "answered 500"),
        ({"status": 204}, "answered 204"),
        ({"status": 302, "headers": {"Location": "/elsewhere"}}, "answered 302"),
        ({"body": b""}, "JSON object"),
        ({"body": b"<html>"}, "JSON object"),
        ({"body": b'{"keys": ['}, "JSON object"),
        ({"body": b"[]"}, "JSON object"),
        ({"body": b"\xff\xfe"}, "JSON object"),
        ({"body": b"[" * 100_000}, "JSON object"),
        ({"body": b'{"keys": "' + b"x" * 300_000 + b'"}'}, "more than 262144 bytes"),
        ({"body": BOMB, "headers": {"Content-Encoding": "gzip"}}, "more than 262144 bytes"),
        ({"body": b"no gzip", "headers": {"Content-Encoding": "gzip"}}, "could not be fetched"),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_what_is_no_answer_is_one_kind_of_error(
    session: ClientSession, endpoint: Endpoint, response: dict[str, Any], cause: str
) -> None:
    endpoint.sends("/keys", **response)
    endpoint.gives("/elsewhere", {"keys": []})

    with pytest.raises(JWKSFetchError, match=cause):
        await fetch(session, endpoint)

    assert endpoint.asked == ["/keys"], "no redirect is followed"


async def test_the_pause_that_an_issuer_asks_for_is_handed_on(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.sends("/keys", status=429, headers={"Retry-After": "17"})

    with pytest.raises(JWKSFetchError) as failed:
        await fetch(session, endpoint)

    assert failed.value.retry_after == 17


async def test_a_slow_issuer_is_not_waited_for(session: ClientSession, endpoint: Endpoint) -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    endpoint.answers["/keys"] = never

    with pytest.raises(JWKSFetchError, match="in time"):
        await fetch(session, endpoint, timeout=0.05)


async def test_an_issuer_that_is_not_there_is_an_error(
    session: ClientSession, unused_tcp_port: int
) -> None:
    with pytest.raises(JWKSFetchError, match="ClientConnectorError"):
        await fetch_document(session, f"http://127.0.0.1:{unused_tcp_port}/keys", timeout=5)


async def test_metadata_is_looked_for_where_rfc_8414_puts_it(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(RFC8414, {"issuer": endpoint.base, "jwks_uri": "x"})

    assert (await discover(session, endpoint.base, timeout=5))["jwks_uri"] == "x"
    assert endpoint.asked == [RFC8414]


async def test_an_issuer_with_a_path_has_its_metadata_in_two_places(
    session: ClientSession, endpoint: Endpoint
) -> None:
    issuer = endpoint.base + "tenant/"
    endpoint.gives("/tenant" + OPENID, {"issuer": issuer})

    await discover(session, issuer, timeout=5)

    assert endpoint.asked == [RFC8414 + "/tenant", "/tenant" + OPENID]


async def test_metadata_that_names_another_issuer_is_refused(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(RFC8414, {"issuer": "https://evil.example/"})
    endpoint.gives(OPENID, {"issuer": 5})

    with pytest.raises(JWKSFetchError, match="names another issuer"):
        await discover(session, endpoint.base, timeout=5)


async def test_a_missing_slash_is_told_of_by_name(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.gives(OPENID, {"issuer": endpoint.base})

    with pytest.raises(JWKSFetchError, match="slash included"):
        await discover(session, endpoint.base.rstrip("/"), timeout=5)


class Discovering:
    """An issuer client that must discover where the keys are."""

    def __init__(self, session: ClientSession, endpoint: Endpoint, clock: FakeClock) -> None:
        self.endpoint = endpoint
        self.client = IssuerClient(session, endpoint.base, jwks_uri=None, timeout=5, now=clock)
        self.move("keys")

    def move(self, path: str) -> None:
        self.endpoint.answers.clear()
        self.endpoint.gives(
            RFC8414, {"issuer": self.endpoint.base, "jwks_uri": self.endpoint.base + path}
        )
        self.endpoint.gives("/" + path, {"keys": [public_jwk()]})


@pytest.fixture
def discovering(session: ClientSession, endpoint: Endpoint, clock: FakeClock) -> Discovering:
    return Discovering(session, endpoint, clock)


async def test_keys_are_discovered_once_an_hour(
    discovering: Discovering, endpoint: Endpoint, clock: FakeClock
) -> None:
    for _ in range(3):
        assert (await discovering.client.fetch_key_set(fresh=False)).keys.keys
    assert endpoint.asked == [RFC8414, "/keys", "/keys", "/keys"]

    clock.time += 3601
    await discovering.client.fetch_key_set(fresh=False)

    assert endpoint.asked[4:] == [RFC8414, "/keys"]


async def test_discovery_and_keys_together_have_one_limit_of_time(
    session: ClientSession, endpoint: Endpoint, clock: FakeClock
) -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    endpoint.gives(RFC8414, {"issuer": endpoint.base, "jwks_uri": endpoint.base + "keys"})
    endpoint.answers["/keys"] = never
    client = IssuerClient(session, endpoint.base, jwks_uri=None, timeout=0.1, now=clock)

    with pytest.raises(JWKSFetchError, match="in time"):
        await client.fetch_key_set(fresh=False)


async def test_metadata_that_cannot_be_had_for_once_does_not_lose_the_keys(
    discovering: Discovering, endpoint: Endpoint, clock: FakeClock
) -> None:
    await discovering.client.fetch_key_set(fresh=False)
    clock.time += 3601
    del endpoint.answers[RFC8414]

    assert (await discovering.client.fetch_key_set(fresh=False)).keys.keys


async def test_keys_that_have_moved_are_found_again(discovering: Discovering) -> None:
    await discovering.client.fetch_key_set(fresh=False)
    discovering.move("elsewhere")

    with pytest.raises(JWKSFetchError):
        await discovering.client.fetch_key_set(fresh=False)

    assert (await discovering.client.fetch_key_set(fresh=False)).keys.keys


@pytest.mark.parametrize("uri", ["http://issuer.example/keys", "file:///etc/passwd", "", None, 5])
async def test_keys_are_fetched_over_https_alone(
    discovering: Discovering, endpoint: Endpoint, uri: object
) -> None:
    endpoint.gives(RFC8414, {"issuer": endpoint.base, "jwks_uri": uri})

    with pytest.raises(JWKSFetchError, match="https"):
        await discovering.client.fetch_key_set(fresh=False)


class OneAnswer:
    """A session with one answer to everything, from whatever host."""

    status = 200
    url = "https://issuer.example/"

    def __init__(self, document: Any) -> None:
        self.headers = CIMultiDict[str]()
        self.content = self
        self._body = json.dumps(document).encode()

    @asynccontextmanager
    async def get(self, *_address: Any, **_options: Any) -> AsyncIterator["OneAnswer"]:
        yield self

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        yield self._body


async def test_an_issuer_on_https_has_its_keys_on_https(clock: FakeClock) -> None:
    issuer = "https://issuer.example/"
    session: Any = OneAnswer({"issuer": issuer, "jwks_uri": "http://127.0.0.1:6379/"})
    client = IssuerClient(session, issuer, jwks_uri=None, timeout=5, now=clock)

    with pytest.raises(JWKSFetchError, match="must be https:// as its issuer is"):
        await client.fetch_key_set(fresh=False)


async def test_keys_whose_place_is_configured_are_not_discovered(
    session: ClientSession, endpoint: Endpoint, clock: FakeClock
) -> None:
    endpoint.gives("/here", {"keys": [public_jwk()]})
    client = IssuerClient(
        session, "https://issuer.example/", jwks_uri=endpoint.base + "here", timeout=5, now=clock
    )

    await client.fetch_key_set(fresh=False)

    assert endpoint.asked == ["/here"]


@pytest.mark.parametrize(
    ("document", "cause"),
    [
        ({"keys": []}, "no usable key"),
        ({"keys": [{"kty": "oct", "k": "x"}]}, "no usable key"),
        ({"keys": 5}, "no key set"),
        ({}, "no key set"),
    ],
    ids=json.dumps,
)
async def test_a_set_without_a_usable_key_is_no_set(
    discovering: Discovering, endpoint: Endpoint, document: dict[str, Any], cause: str
) -> None:
    endpoint.gives("/keys", document)

    with pytest.raises(JWKSFetchError, match=cause):
        await discovering.client.fetch_key_set(fresh=False)


async def test_the_session_keeps_no_cookie_and_takes_no_proxy_from_the_environment(
    session: ClientSession, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    endpoint.gives("/keys", {}, **{"Set-Cookie": "a=b"})
    # By name: cookies of bare addresses are passed over anyway.
    endpoint.base = endpoint.base.replace("127.0.0.1", "localhost")

    await fetch(session, endpoint)
    await fetch(session, endpoint)

    assert all("Cookie" not in each for each in endpoint.headers)
    assert endpoint.headers[0]["User-Agent"].startswith("keyturn/")
