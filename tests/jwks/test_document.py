import asyncio
import gzip
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import ClientSession, web
from multidict import CIMultiDict

from server.jwks.document import JWKSFetchError, fetch_document
from tests.jwks.conftest import Endpoint


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


BOMB = gzip.compress(b'{"keys": "' + b"x" * 10_000_000 + b'"}', mtime=0)


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        ({"status": 500}, "answered 500"),
        ({"status": 204}, "answered 204"),
        (
            {"status": 302, "headers": {"Location": "/elsewhere"}},
            r"answered 302, a redirect to '/elsewhere'",
        ),
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
    with pytest.raises(
        JWKSFetchError, match=r"could not be fetched: (Connect call failed|Connection refused)"
    ):
        await fetch_document(session, f"http://127.0.0.1:{unused_tcp_port}/keys", timeout=5)


async def test_a_document_that_is_held_is_asked_for_on_condition(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.sends("/keys", status=304, headers={"Cache-Control": "max-age=60", "ETag": '"a"'})

    document = await fetch_document(
        session, endpoint.base + "keys", timeout=5, validators={"If-None-Match": '"a"'}
    )

    assert endpoint.headers[0]["If-None-Match"] == '"a"'
    assert document.members is None
    assert document.headers["Cache-Control"] == "max-age=60"


async def test_a_304_to_who_holds_nothing_is_no_answer(
    session: ClientSession, endpoint: Endpoint
) -> None:
    endpoint.sends("/keys", status=304)

    with pytest.raises(JWKSFetchError, match="answered 304"):
        await fetch(session, endpoint)


async def test_a_header_in_several_lines_is_one(session: ClientSession, endpoint: Endpoint) -> None:
    headers = CIMultiDict([("Cache-Control", "public"), ("Cache-Control", "max-age=60")])
    endpoint.sends("/keys", body=b"{}", headers=headers)

    document = await fetch(session, endpoint)

    assert document.headers["Cache-Control"] == "public, max-age=60"


async def test_an_answer_without_end_is_cut_and_no_memory_goes_into_it(
    session: ClientSession, endpoint: Endpoint
) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while sent < 2**30:
                await response.write(b" " * 2**16)
                sent += 2**16
        return response

    endpoint.answers["/keys"] = endless

    with pytest.raises(JWKSFetchError, match="more than 262144 bytes"):
        await fetch(session, endpoint)

    assert sent < 2**24, "what the sockets hold, and no more"


async def test_a_bomb_is_cut_while_it_is_unpacked(
    session: ClientSession, endpoint: Endpoint
) -> None:
    bomb = gzip.compress(b" " * 2**26)
    endpoint.sends("/keys", body=bomb, headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        with pytest.raises(JWKSFetchError, match="more than 262144 bytes"):
            await fetch(session, endpoint)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2**24


async def test_an_answer_that_drips_is_given_up(session: ClientSession, endpoint: Endpoint) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(0)
        return response

    endpoint.answers["/keys"] = drip

    with pytest.raises(JWKSFetchError, match="in time"):
        await fetch(session, endpoint, timeout=0.1)


async def test_an_answer_that_ends_too_soon_is_none(
    session: ClientSession, endpoint: Endpoint
) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"keys": [')
        assert request.transport is not None
        request.transport.close()
        return response

    endpoint.answers["/keys"] = half

    with pytest.raises(JWKSFetchError, match="ClientPayloadError"):
        await fetch(session, endpoint)
