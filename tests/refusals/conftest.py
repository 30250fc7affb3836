"""A server with two issuers, and what is held of every request that it refuses."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiocache import SimpleMemoryCache
from aiocache.serializers import StringSerializer
from aiohttp import web
from structlog.typing import EventDict

from server.jwks.outcomes import Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache, TokenCacheSettings
from server.web import authenticated, claim_includes, get, permission, post, public, scope
from tests.conftest import Client, MakeClient
from tests.fakes import FakeClock, FakeIssuer
from tests.minting import NOW, policy
from tests.raw import Answer, send
from tests.refusals.forging import forged
from tests.refusals.keyring import LOOSE, STRICT, loose_keys, strict_keys

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "Ed25519"]

COARSE = "The access token is malformed or was not issued for this API"

# What the client is told, by the reason in the log: of all that is found before a signature has
# been verified, the same.
SENTENCES = {
    "missing_token": "This resource needs an access token",
    "invalid_request": "The access token must be sent once, in one Authorization line",
    "wrong_audience": "The access token is meant for another audience",
    "expired": "The access token has expired",
    "not_yet_valid": "The access token is not valid yet",
    "too_old": "The access token was issued too long ago",
    "invalid_claim": "A claim of the access token is missing or invalid",
    "insufficient_scope": "The access token does not grant what this resource requires",
}  # fmt: skip

ERRORS: dict[str, tuple[int, str | None]] = {
    "missing_token": (401, None),
    "invalid_request": (400, "invalid_request"),
    "insufficient_scope": (403, "insufficient_scope"),
}

_QUOTED = 12  # characters of what was sent that must come back nowhere


def bearer(compact: str | bytes) -> bytes:
    raw = compact if isinstance(compact, bytes) else compact.encode()
    return b"Authorization: Bearer " + raw


@dataclass
class Door:
    """
    The whole server, from its socket to its handlers, and all that can be seen of it.

    Attributes:
        issuers: they count who asks them for keys.
        calls: one path for each time that a handler was called.
        records: what was logged beside the structured log.
    """

    client: Client
    log: list[EventDict]
    issuers: tuple[FakeIssuer, FakeIssuer]
    calls: list[str]
    records: pytest.LogCaptureFixture

    async def ask(
        self, *lines: bytes, method: bytes = b"GET", target: bytes = b"/private", body: bytes = b""
    ) -> Answer:
        start = method + b" " + target + b" HTTP/1.1"
        return await send(self.client, b"\r\n".join([start, b"Host: api", *lines, b"", body]))

    async def admits(self, *lines: bytes, method: bytes = b"GET", **sent: bytes) -> None:
        """Hold that a handler answers this request."""
        called = len(self.calls)

        answer = await self.ask(*lines, method=method, **sent)

        assert answer.status == 200, answer.raw
        assert len(self.calls) == called + 1

    async def refuses(self, *lines: bytes, reason: str, **sent: bytes) -> Answer:
        """Hold of this request all that is promised of one that is refused for *reason*."""
        asked = self.questions

        answer = await self.turns_away(*lines, **sent)

        _hold_answer(answer, reason)
        _hold_line(self.log[-1], reason)
        # An unknown key is the one thing that an issuer may be asked for.
        assert self.questions - asked <= (reason == "unknown_key")
        return answer

    async def refuses_token(self, compact: str | bytes, *, reason: str, **sent: bytes) -> Answer:
        """The same of a request with this token."""
        return await self.refuses(bearer(compact), reason=reason, **sent)

    async def turns_away(self, *lines: bytes, **sent: bytes) -> Answer:
        """Hold that no handler sees this request, and that nobody reads what was sent."""
        logged, called = len(self.log), len(self.calls)

        answer = await self.ask(*lines, **sent)

        told = self.log[logged:]
        assert len(self.calls) == called
        assert [each["event"] for each in told].count("request") == 1
        self.hold_calm()
        _hold_silence(lines, f"{answer.raw.decode('latin-1')}{told}{self.records.text}")
        return answer

    def hold_calm(self) -> None:
        """Hold that nothing that was logged is a fault of ours."""
        assert not [each for each in self.log if each["log_level"] in {"error", "critical"}]
        assert not [each for each in self.log if "exc_info" in each]
        assert not [each for each in self.records.records if each.levelno >= logging.ERROR]

    @property
    def questions(self) -> int:
        return sum(len(issuer.fetches) for issuer in self.issuers)


def _hold_answer(answer: Answer, reason: str) -> None:
    status, error = ERRORS.get(reason, (401, "invalid_token"))
    sentence = SENTENCES.get(reason, COARSE)
    assert answer.status == status, answer.raw
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    challenge = 'Bearer realm="quickstart"'
    if error is not None:
        challenge += f', error="{error}", error_description="{sentence}"'
    if answer.body:
        problem = answer.problem
        assert (problem["status"], problem.get("error")) == (status, error)
        assert problem["detail"] == sentence
        assert problem["request_id"] == answer.headers["x-request-id"]
        if "scope" in problem:
            challenge += f', scope="{problem["scope"]}"'
    assert answer.headers["www-authenticate"] == challenge


def _hold_line(line: EventDict, reason: str) -> None:
    assert line["event"] == "request"
    assert line["log_level"] == "info"
    assert (line["auth.outcome"], line["auth.reason"]) == ("refused", reason)
    assert line.get("auth.issuer") in {None, STRICT, LOOSE}
    for name in ("auth.kid", "auth.alg"):
        text = line.get(name, "x")
        assert text.isprintable() or not text
        assert text.isascii()
        assert len(text) <= 64
    if reason not in SENTENCES and reason != "wrong_type":
        assert not {"auth.subject", "auth.client_id", "auth.token_id"} & line.keys()


def _hold_silence(lines: tuple[bytes, ...], told: str) -> None:
    for line in lines:
        name, _, value = line.decode("latin-1").partition(": ")
        if name.lower() == "content-type":
            continue
        sent = _pieces(value.removeprefix("Bearer "))
        assert sent.isdisjoint(_pieces(told)), sent & _pieces(told)


def _pieces(text: str) -> set[str]:
    return {text[start : start + _QUOTED] for start in range(len(text) - _QUOTED + 1)}


@pytest.fixture
def issuers(clock: FakeClock) -> tuple[FakeIssuer, FakeIssuer]:
    return FakeIssuer(strict_keys(), clock=clock), FakeIssuer(loose_keys(), clock=clock)


@pytest.fixture
async def protector(
    issuers: tuple[FakeIssuer, FakeIssuer], clock: FakeClock, log: list[EventDict]
) -> ResourceProtector:
    strict = policy(profile="at+jwt", max_token_age="24h", algorithms=ALGORITHMS)
    loose = policy(issuer=LOOSE, algorithms=ALGORITHMS)
    believed = []
    for its, issuer in zip((strict, loose), issuers, strict=True):
        store = Store(SimpleMemoryCache(serializer=StringSerializer()), now=clock)
        keys = RemoteKeySet(
            its.issuer,
            issuer.fetch,
            RefreshPolicy(),
            SharedKeys(its.issuer, store, clock=clock),
            now=clock,
            sleep=clock.sleep,
        )
        await keys.refresh(Trigger.START)
        believed.append(Issuer(its, keys))
    return ResourceProtector(believed, TokenCache(TokenCacheSettings()), clock=lambda: NOW)


@pytest.fixture
async def door(
    make_client: MakeClient,
    issuers: tuple[FakeIssuer, FakeIssuer],
    log: list[EventDict],
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[Door]:
    """The server; at the end of every test a good token still opens it."""
    calls: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.Response(body=await request.read())

    rows = (
        get("/private", handler, authenticated),
        post("/private", handler, authenticated),
        get("/private/scoped", handler, scope("read:messages")),
        get("/private/permitted", handler, permission("read:messages")),
        get("/private/grouped", handler, claim_includes("groups", "readers")),
        get("/open", handler, public),
    )
    client = await make_client(rows)
    log.clear()  # of what was said of the unfit keys
    door = Door(client, log, issuers, calls, caplog)
    yield door
    if client.server.port:  # a test may have closed it
        await door.admits(bearer(forged()))
