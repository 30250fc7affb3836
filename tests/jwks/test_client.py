import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from multidict import CIMultiDict

from server.jwks.client import IssuerClient
from server.jwks.document import JWKSFetchError
from tests.fakes import FakeClock
from tests.jwks.conftest import OPENID, RFC8414, Endpoint
from tests.minting import public_jwk


class Discovering:
    """An issuer client that must discover where the keys are."""

    def __init__(
        self, session: ClientSession, endpoint: Endpoint, clock: FakeClock, *, timeout: float = 5
    ) -> None:
        self.endpoint = endpoint
        self.client = IssuerClient(
            session, endpoint.base, jwks_uri=None, timeout=timeout, now=clock
        )
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
    for _ in range(2):
        for seconds in (0, 1, 3599):
            clock.time += seconds
            assert (await discovering.client.fetch_key_set()).keys.keys
        clock.time += 1

    assert endpoint.asked == [RFC8414, "/keys", "/keys", "/keys"] * 2


async def test_past_the_caches_the_keys_are_asked_for(
    discovering: Discovering, endpoint: Endpoint
) -> None:
    await discovering.client.fetch_key_set(fresh=True)

    assert endpoint.headers[-1]["Cache-Control"] == "no-cache"


async def test_keys_at_a_link_local_address_are_not_fetched(
    discovering: Discovering, endpoint: Endpoint
) -> None:
    endpoint.gives(
        RFC8414, {"issuer": endpoint.base, "jwks_uri": "https://169.254.169.254/latest/meta-data"}
    )

    with pytest.raises(JWKSFetchError, match="no issuer can be"):
        await discovering.client.fetch_key_set()


async def test_keys_that_are_too_slow_are_looked_for_elsewhere_the_next_time(
    session: ClientSession, endpoint: Endpoint, clock: FakeClock
) -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    discovering = Discovering(session, endpoint, clock, timeout=0.1)
    await discovering.client.fetch_key_set()
    endpoint.answers["/keys"] = never
    with pytest.raises(JWKSFetchError, match="in time"):
        await discovering.client.fetch_key_set()
    discovering.move("elsewhere")

    assert (await discovering.client.fetch_key_set()).keys.keys


async def test_why_no_key_can_be_used_is_told(discovering: Discovering, endpoint: Endpoint) -> None:
    endpoint.gives("/keys", {"keys": [public_jwk() | {"d": "AAAA"}, public_jwk(use="enc")]})

    with pytest.raises(
        JWKSFetchError, match="private or symmetric material; it is not for sig"
    ) as failed:
        await discovering.client.fetch_key_set()

    assert [each.is_secret for each in failed.value.unfit] == [True, False]


async def test_a_confirmation_of_another_document_is_none(
    discovering: Discovering, endpoint: Endpoint
) -> None:
    endpoint.gives("/keys", {"keys": [public_jwk()]}, ETag='"a"')
    held = await discovering.client.fetch_key_set()
    endpoint.sends("/keys", status=304, headers={"ETag": '"b"'})

    with pytest.raises(JWKSFetchError, match="confirmed what is not held"):
        await discovering.client.fetch_key_set(held)


async def test_discovery_and_keys_together_have_one_limit_of_time(
    discovering: Discovering, session: ClientSession, endpoint: Endpoint, clock: FakeClock
) -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    endpoint.answers[OPENID] = endpoint.answers[RFC8414]
    endpoint.answers[RFC8414] = never  # takes all of the time that there is
    client = IssuerClient(session, endpoint.base, jwks_uri=None, timeout=0.1, now=clock)

    with pytest.raises(JWKSFetchError, match="in time"):
        await client.fetch_key_set()


async def test_metadata_that_is_slow_for_once_does_not_take_the_time_for_the_keys(
    session: ClientSession, endpoint: Endpoint, clock: FakeClock
) -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    discovering = Discovering(session, endpoint, clock, timeout=0.4)
    await discovering.client.fetch_key_set()
    clock.time += 3601
    endpoint.answers[RFC8414] = never

    assert (await discovering.client.fetch_key_set()).keys.keys


async def test_keys_whose_fetch_failed_are_looked_for_where_they_were_if_all_else_fails(
    discovering: Discovering, endpoint: Endpoint
) -> None:
    await discovering.client.fetch_key_set()
    keys = endpoint.answers.pop("/keys")
    with pytest.raises(JWKSFetchError):
        await discovering.client.fetch_key_set()
    endpoint.answers.clear()
    endpoint.answers["/keys"] = keys

    assert (await discovering.client.fetch_key_set()).keys.keys


async def test_keys_that_are_held_are_confirmed(
    discovering: Discovering, endpoint: Endpoint, clock: FakeClock
) -> None:
    endpoint.gives("/keys", {"keys": [public_jwk()]}, ETag='"a"', Age="7")
    held = await discovering.client.fetch_key_set()
    endpoint.sends("/keys", status=304, headers={"Cache-Control": "max-age=60"})
    clock.time += 50

    confirmed = await discovering.client.fetch_key_set(held)

    assert endpoint.headers[-1]["If-None-Match"] == '"a"'
    assert confirmed.keys is held.keys
    assert confirmed.asked_at == held.asked_at + 50
    assert confirmed.headers == {"ETag": '"a"', "Cache-Control": "max-age=60"} | {
        "Date": confirmed.headers["Date"]
    }


async def test_keys_that_have_moved_are_asked_for_without_conditions(
    discovering: Discovering, endpoint: Endpoint, clock: FakeClock
) -> None:
    endpoint.gives("/keys", {"keys": [public_jwk()]}, ETag='"a"')
    held = await discovering.client.fetch_key_set()
    discovering.move("elsewhere")
    clock.time += 3601

    await discovering.client.fetch_key_set(held)

    assert endpoint.asked[-1] == "/elsewhere"
    assert "If-None-Match" not in endpoint.headers[-1]


async def test_metadata_that_cannot_be_had_for_once_does_not_lose_the_keys(
    discovering: Discovering, endpoint: Endpoint, clock: FakeClock
) -> None:
    await discovering.client.fetch_key_set()
    clock.time += 3601
    del endpoint.answers[RFC8414]

    assert (await discovering.client.fetch_key_set()).keys.keys


async def test_keys_that_have_moved_are_found_again(discovering: Discovering) -> None:
    await discovering.client.fetch_key_set()
    discovering.move("elsewhere")

    with pytest.raises(JWKSFetchError):
        await discovering.client.fetch_key_set()

    assert (await discovering.client.fetch_key_set()).keys.keys


@pytest.mark.parametrize("uri", ["http://issuer.example/keys", "file:///etc/passwd", "", None, 5])
async def test_keys_are_fetched_over_https_alone(
    discovering: Discovering, endpoint: Endpoint, uri: object
) -> None:
    endpoint.gives(RFC8414, {"issuer": endpoint.base, "jwks_uri": uri})

    with pytest.raises(JWKSFetchError, match=r"https|has no jwks_uri"):
        await discovering.client.fetch_key_set()


class OneAnswer:
    """A session with one answer to everything, from whatever host."""

    status = 200
    url = "https://issuer.example/"

    def __init__(self, document: Any) -> None:
        self.headers = CIMultiDict[str]()
        self.content = self
        self._body = json.dumps(document).encode()

    @asynccontextmanager
    async def get(self, *_address: Any, **options: Any) -> AsyncIterator["OneAnswer"]:
        self.options = options
        yield self

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        yield self._body


async def test_connecting_and_silence_have_limits_of_their_own(clock: FakeClock) -> None:
    session: Any = OneAnswer({"keys": [public_jwk()]})
    url = "https://issuer.example/keys"
    client = IssuerClient(session, "https://issuer.example/", jwks_uri=url, timeout=5, now=clock)

    await client.fetch_key_set()

    limits = session.options["timeout"]
    assert (limits.total, limits.connect, limits.sock_read) == (None, 2, 3)
    assert session.options["allow_redirects"] is False


async def test_an_issuer_on_https_has_its_keys_on_https(clock: FakeClock) -> None:
    issuer = "https://issuer.example/"
    session: Any = OneAnswer({"issuer": issuer, "jwks_uri": "http://127.0.0.1:6379/"})
    client = IssuerClient(session, issuer, jwks_uri=None, timeout=5, now=clock)

    with pytest.raises(JWKSFetchError, match="must be https:// as its issuer is"):
        await client.fetch_key_set()


async def test_keys_whose_place_is_configured_are_not_discovered(
    session: ClientSession, endpoint: Endpoint, clock: FakeClock
) -> None:
    endpoint.gives("/here", {"keys": [public_jwk()]})
    client = IssuerClient(
        session, "https://issuer.example/", jwks_uri=endpoint.base + "here", timeout=5, now=clock
    )

    await client.fetch_key_set()

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
        await discovering.client.fetch_key_set()
