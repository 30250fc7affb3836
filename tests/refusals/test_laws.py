"""Whatever is sent, the answer is one of those that are promised."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from threading import Thread
from typing import Any

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from server.app import Rules, create_api
from server.jwks.fixed_key_set import FixedKeySet
from server.protector import Issuer, ResourceProtector
from server.routes import ROUTES
from server.token_cache import TokenCache, TokenCacheSettings
from server.web.cors import Cors, CorsSettings
from server.web.listener import Runner
from tests.log_schema import captured
from tests.minting import ISSUER, NOW, b64, claims, policy
from tests.refusals.forging import claiming, forged
from tests.refusals.keyring import strict_keys

pytestmark = pytest.mark.fuzz

_GOING_ON = {200, 401, 403}


class Peer:
    """A client that keeps its connection for as long as the server does."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._kept: socket.socket | None = None

    def status_of(self, authorization: bytes) -> int:
        """Ask for what takes a scope, and give the status."""
        connection = self._kept or socket.create_connection(self._address, timeout=10)
        self._kept = connection
        connection.sendall(
            b"GET /api/private-scoped HTTP/1.1\r\nHost: api\r\n"
            b"Authorization: " + authorization + b"\r\n\r\n"
        )
        with connection.makefile("rb") as answers:
            status = int(answers.readline().split()[1])
            head = [line.strip().lower() for line in iter(answers.readline, b"\r\n")]
            headers = dict(line.split(b": ", 1) for line in head)
            answers.read(int(headers[b"content-length"]))
        # What is no HTTP ends the connection, and what ends its line may begin a second request.
        if status not in _GOING_ON or {*b"\r\n"} & {*authorization}:
            self.close()
        return status

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


async def _serve(runner: web.AppRunner) -> int:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return port


def _api() -> web.Application:
    issuer = Issuer(policy(), FixedKeySet(ISSUER, strict_keys()))
    cache = TokenCache(TokenCacheSettings(size=100))
    rules = Rules(
        "laws", Cors(CorsSettings()), ResourceProtector([issuer], cache, clock=lambda: NOW)
    )
    return create_api(ROUTES, lambda: rules)


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    """A client of a server in a thread of its own: a property is no coroutine."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    runner = Runner(_api(), shutdown_timeout=1, log_requests=True)
    port = asyncio.run_coroutine_threadsafe(_serve(runner), loop).result()
    with closing(Peer(port)) as peer:
        yield peer
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    """Whatever a law tries, the server speaks of requests, and of no fault."""
    with captured() as log:
        yield
    assert {each["event"] for each in log} == {"request"}
    assert not [each for each in log if each["log_level"] in {"error", "critical"}]


# Sound, but that it does not grant what is asked: changes that change nothing make it no better.
LACKING = claiming(scope="other").encode()

octets = st.binary(max_size=200)
changed = st.builds(
    lambda at, cut, put: LACKING[:at] + put + LACKING[at + cut :],
    st.integers(0, len(LACKING)),
    st.integers(0, 3),
    st.binary(max_size=3),
)
joined = st.lists(octets.map(b64), min_size=1, max_size=6).map(".".join).map(str.encode)
tokens = octets | changed | joined
schemes = st.sampled_from([b"Bearer ", b"bearer\t", b"BEARER  ", b"Basic ", b""])
lines = st.builds(bytes.__add__, schemes, tokens) | octets
several = st.builds(bytes.__add__, lines, lines.map(lambda line: b", " + line))


long = st.integers(8_000, 17_000).map(lambda size: b"Bearer " + b"x" * size)


@given(lines | several | long)
@example(b"Bearer " + LACKING)
@example(b"Bearer " + b"." * 16_300)
@example(b"Bearer \xff\x00")
def test_no_octets_in_place_of_a_token_do_more_than_be_refused(
    peer: Peer, authorization: bytes
) -> None:
    assert peer.status_of(authorization) in {400, 401, 403, 431}


characters = st.characters(exclude_categories=())  # surrogates too
texts = st.text(characters, max_size=30)
numbers = st.integers() | st.integers(-(2**70), 2**70) | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)
words = st.sampled_from(
    ["read:messages", "read:messages x", ISSUER, "https://api.example", "", "*"]
)
NAMES = (
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "scope", "scp", "permissions", "cnf", "at_hash", "c_hash",
    "events", "token_introspection", "htm", "htu", "nonce", "act", "may_act", "auth_time", "acr", "amr", "groups", "roles",
)  # fmt: skip
claimed = st.dictionaries(
    st.sampled_from(NAMES), values | words | st.lists(values | words), max_size=4
)
spelled = st.sampled_from(
    [
        json.dumps,
        lambda value: json.dumps(value, separators=(",", ":"), indent=1),
        lambda value: json.dumps(value, ensure_ascii=False),
    ]
)


def _octets(spell: Any, value: Any) -> bytes:
    text: str = spell(value)
    return text.encode("utf-8", "surrogatepass")


payloads = (
    st.builds(_octets, spelled, values)
    | st.builds(_octets, spelled, claimed.map(lambda changes: claims() | changes))
    | st.binary(max_size=2000)
    | st.binary(max_size=200).map(lambda raw: json.dumps(claims()).encode()[:-1] + raw)
)


@given(payloads)
@example(json.dumps(claims()).encode())
@example(json.dumps(claims(scope="")).encode())
def test_no_claims_that_somebody_signed_do_more_than_be_refused(peer: Peer, payload: bytes) -> None:
    compact = forged(payload=payload)

    assert peer.status_of(b"Bearer " + compact.encode()) in {200, 401, 403}
