"""Clients that are slow, on real sockets; with a server that has little patience."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web
from structlog.typing import EventDict

from server.web import post, public
from server.web.limits import Limits
from tests.conftest import Client, KeyturnServer, MakeClient
from tests.minting import token
from tests.raw import connected, send
from tests.web.conftest import read_all

pytestmark = pytest.mark.usefixtures("calm")

HASTE = Limits(idle_timeout=0.5, header_timeout=0.2, body_timeout=0.15)
BEARER = b"Authorization: Bearer " + token().encode() + b"\r\n"
HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture
def haste() -> Limits:
    return HASTE


@pytest.mark.parametrize(
    "begun",
    [b"G", b"GET /x HTTP/1.1\r\n", b"GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cr3t"],
    ids=["a letter", "a line", "half a header"],
)
async def test_a_head_that_does_not_come_to_an_end_is_given_up(
    hasty: Client, log: list[EventDict], begun: bytes
) -> None:
    answer = await send(hasty, begun)

    assert answer.status == 408
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert b"s3cr3t" not in answer.raw
    (line,) = log
    assert (line["event"], line["log_level"]) == ("request", "warning")
    assert "s3cr3t" not in str(log)


class Wire(asyncio.Transport):
    """A connection without a network: it keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def close(self) -> None:
        self.closed.set()


async def test_a_head_that_comes_with_its_connection_is_given_up_too(hasty: Client) -> None:
    assert isinstance(hasty.server, KeyturnServer)
    assert hasty.server.handler is not None
    connection, wire = hasty.server.handler(), Wire()

    connection.connection_made(wire)
    connection.data_received(b"GET /x HTTP/1.1\r\n")  # before the connection's task has begun
    await wire.closed.wait()

    assert wire.written.startswith(b"HTTP/1.0 408 ")
    connection.connection_lost(None)


async def test_a_head_that_trickles_is_given_up_all_the_same(
    hasty: Client, log: list[EventDict]
) -> None:
    async with connected(hasty) as (_reader, writer):
        writer.write(b"GET /x HTTP/1.1\r\nX: ")
        with suppress(ConnectionError):
            while not log:
                writer.write(b"x")
                await asyncio.sleep(0.001)

        assert [line["http.response.status_code"] for line in log] == [408]


async def test_a_head_that_has_begun_has_its_own_time(make_client: MakeClient) -> None:
    client = await make_client(limits=Limits(idle_timeout=0.05, header_timeout=0.2))

    assert (await send(client, b"GET /x HTTP/1.1\r\n")).status == 408


async def test_who_sends_nothing_is_let_go_without_a_word(
    hasty: Client, log: list[EventDict]
) -> None:
    async with connected(hasty) as (reader, writer):
        writer.write(b"\r\n")

        assert await reader.read() == b""

        assert log == []


async def test_a_head_in_pieces_is_one_head(hasty: Client) -> None:
    async with connected(hasty) as (reader, writer):
        for number in range(3):
            for piece in (
                b"POST /open HT",
                b"TP/1.1\r\nHost: x\r\nContent-Le",
                b"ngth: 1\r\n\r\nx",
            ):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), number
            await reader.readexactly(1)
        assert await reader.read() == b"", "closed for being idle, without a word"


async def test_a_head_of_many_lines_is_too_large_long_before_it_is_complete(
    client: Client, log: list[EventDict]
) -> None:
    async with connected(client) as (_reader, writer):
        writer.write(b"GET /api/private HTTP/1.1\r\nHost: x\r\n")
        with suppress(ConnectionError):
            for number in range(100):
                writer.write(b"X-%d: %s\r\n" % (number, b"s3cr3t" * 2000))
                await writer.drain()
                await asyncio.sleep(0)

    assert [line["http.response.status_code"] for line in log] == [431]


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + BEARER + b"Content-Length: 1000\r\n\r\n",
        HEAD + BEARER + b"Content-Length: 1000\r\n\r\nonly this",
        HEAD + BEARER + FORM + b"Content-Length: 1000\r\n\r\na=b",
        HEAD + BEARER + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        HEAD + BEARER + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
    ],
    ids=["nothing of it", "part of it", "a form", "chunks", "an invitation"],
)
async def test_a_body_that_does_not_come_is_given_up(
    hasty: Client, log: list[EventDict], sent: bytes
) -> None:
    async with connected(hasty) as (reader, writer):
        writer.write(sent)

        answer = (await reader.read()).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        (line,) = log
        assert line["http.response.status_code"] == 408
        assert line["auth.outcome"] == "granted"


async def test_a_body_that_trickles_is_given_up_all_the_same(
    hasty: Client, log: list[EventDict]
) -> None:
    async with connected(hasty) as (_reader, writer):
        writer.write(HEAD + BEARER + b"Content-Length: 1000000\r\n\r\n")
        with suppress(ConnectionError):
            while not log:
                writer.write(b"x")
                await asyncio.sleep(0.005)

        assert [line["http.response.status_code"] for line in log] == [408]


async def test_a_burst_does_not_buy_a_long_silence(hasty: Client) -> None:
    async with connected(hasty) as (reader, writer):
        writer.write(HEAD + BEARER + b"Content-Length: 1000000\r\n\r\n" + b"x" * 900_000)

        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_comes_fast_enough_is_waited_for(hasty: Client) -> None:
    async with connected(hasty) as (reader, writer):
        writer.write(b"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        loop = asyncio.get_running_loop()
        end = loop.time() + 4 * HASTE.body_timeout
        sent = 0
        while loop.time() < end:
            writer.write(b"x" * 100)
            sent += 100
            await asyncio.sleep(0.001)
        writer.write(b"x" * (100_000 - sent))

        head = await reader.readuntil(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 200 ")


async def test_a_handler_may_take_its_time_between_two_reads(make_client: MakeClient) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        entered.set()
        await leave.wait()
        return await read_all(request)

    client = await make_client((post("/open", slow, public),), limits=HASTE)
    async with connected(client) as (reader, writer):
        writer.write(b"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
        await entered.wait()
        asyncio.get_running_loop().call_later(4 * HASTE.body_timeout, leave.set)
        await leave.wait()
        writer.write(b"ab")

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_stranger_is_not_invited_to_send_a_body(hasty: Client) -> None:
    answer = await send(hasty, HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")

    assert answer.status == 401
    assert b"100 Continue" not in answer.raw


async def test_who_is_admitted_is_invited(hasty: Client) -> None:
    async with connected(hasty) as (reader, writer):
        writer.write(HEAD + BEARER + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")

        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/x", b"/nothing"])
@pytest.mark.parametrize("expected", [b"s3cr3t", b"\x80", b"100-continue, s3cr3t", b""])
async def test_another_expectation_cannot_be_met(
    hasty: Client, log: list[EventDict], path: bytes, expected: bytes
) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nExpect: " + expected
    answer = await send(hasty, head + b"\r\nContent-Length: 0\r\n\r\n")

    assert answer.status == 417
    assert b"s3cr3t" not in answer.raw
    assert [line["log_level"] for line in log] == ["info"]


@pytest.mark.parametrize("target", [b"POST /nothing", b"POST /api/private", b"OPTIONS *"])
async def test_nobody_is_invited_where_nothing_is(client: Client, target: bytes) -> None:
    head = b" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    answer = await send(client, target + head)

    assert answer.status in {404, 405}
