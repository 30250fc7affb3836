"""More connections than there is room for, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from structlog.typing import EventDict

from server.metrics import Metrics
from server.web.limits import Limits
from server.web.measurement import MEASUREMENT, REFUSED
from tests.conftest import Client, MakeClient
from tests.raw import connected, send

pytestmark = pytest.mark.usefixtures("calm")

GET = b"GET /api/public HTTP/1.1\r\nHost: x\r\nX-Request-Id: its-own\r\n\r\n"
POST = b"POST /api/public HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this"
TWO = Limits(max_connections=2, header_timeout=0.2, idle_timeout=5)
RESERVE = 16

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(GET)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split()[0]))
    return head.startswith(b"HTTP/1.1 200 ")


@asynccontextmanager
async def full(client: Client, *, silent: int = 0) -> AsyncIterator[list[Streams]]:
    """Take the room that there is for two, and let some more connect and say nothing."""
    async with AsyncExitStack() as stack:
        inside = [await stack.enter_async_context(connected(client)) for _ in range(2)]
        assert all([await served(*each) for each in inside])
        for _ in range(silent):
            await stack.enter_async_context(connected(client))
        while refused(client) < silent:  # noqa: ASYNC110 (the kernel tells nobody)
            await asyncio.sleep(0)
        yield inside


def refused(client: Client) -> float:
    metrics: Metrics = client.server.app[MEASUREMENT].metrics  # type: ignore[attr-defined]
    return dict(metrics.read())[REFUSED][()][0]


@pytest.fixture
async def small(make_client: MakeClient) -> Client:
    return await make_client(limits=TWO)


@pytest.mark.parametrize("sent", [GET, POST], ids=["a request", "a body"])
async def test_who_finds_no_room_is_told_when_to_come_back(
    small: Client, log: list[EventDict], sent: bytes
) -> None:
    async with full(small) as inside:
        log.clear()
        answer = await send(small, sent)

        assert all([await served(*each) for each in inside])

    assert answer.status == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.problem["request_id"] == answer.headers["x-request-id"]
    line = log[0]
    assert (line["log_level"], line["auth.outcome"]) == ("warning", "anonymous")
    assert (line["http.response.status_code"], line["url.path"]) == (503, "/api/public")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert refused(small) == 1


async def test_room_that_becomes_free_is_given_to_others(small: Client) -> None:
    async with full(small) as inside:
        inside[0][1].close()
        statuses = {(await send(small, GET)).status}
        while 200 not in statuses:
            statuses.add((await send(small, GET)).status)

    assert statuses <= {200, 503}


async def test_who_finds_no_room_and_says_nothing_is_let_go(make_client: MakeClient) -> None:
    client = await make_client(limits=TWO.model_copy(update={"idle_timeout": 0.2}))
    async with full(client), connected(client) as (reader, _writer):
        assert await reader.read() == b""


async def test_who_finds_no_room_and_speaks_slowly_is_told_all_the_same(small: Client) -> None:
    async with full(small):
        answer = await send(small, GET[:20])

    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


async def test_what_is_no_http_is_none_where_there_is_no_room_either(small: Client) -> None:
    async with full(small):
        assert (await send(small, b"hello\r\n\r\n")).status == 400


async def test_of_a_crowd_outside_all_but_a_few_are_told_unheard(
    small: Client, log: list[EventDict]
) -> None:
    async with full(small, silent=RESERVE) as inside:
        log.clear()
        async with connected(small) as (reader, _writer):
            answer = await reader.read()

        assert all([await served(*each) for each in inside])

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head + b"\r\n"
    assert b"\r\nRetry-After: 5\r\n" in head + b"\r\n"
    assert b"\r\nConnection: close\r\n" in head + b"\r\n"
    line = log[0]
    assert str(line["request_id"]).encode() in body
    assert (line["http.response.status_code"], line["log_level"]) == (503, "warning")
    assert line["client.address"] == "127.0.0.1"
    assert refused(small) == RESERVE + 1


async def test_a_crowd_outside_does_not_flood_the_log(small: Client, log: list[EventDict]) -> None:
    async with full(small):
        log.clear()
        for _ in range(130):
            assert (await send(small, GET)).status == 503

    assert len(log) < 130


async def test_a_crowd_outside_does_not_keep_the_server_from_stopping(small: Client) -> None:
    async with full(small, silent=2 * RESERVE), asyncio.timeout(5):
        await small.server.close()
