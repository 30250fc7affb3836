"""Connections on real sockets: what ordinary clients send in pieces, and what is hardly HTTP."""

import asyncio
import random
import re

import pytest
from aiohttp import web
from structlog.typing import EventDict

from server.web import get, post, public
from server.web.limits import USUAL_LIMITS, Limits
from tests.conftest import Client, MakeClient
from tests.fakes import settle
from tests.raw import connected, send
from tests.web.conftest import read_all

pytestmark = pytest.mark.usefixtures("calm")

HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\n"
HASTE = Limits(idle_timeout=0.6, header_timeout=0.25, body_timeout=0.3)


@pytest.fixture
def haste() -> Limits:
    return HASTE


POSTED = b"POST /open HTTP/1.1\r\nHost: x\r\n"
GOT = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKS = POSTED + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = b"x" * 200_000

# What an ordinary client may send, in pieces as they may come; and the statuses of the answers.
ORDINARY: dict[str, tuple[list[bytes], list[int]]] = {
    "a body by itself": ([POSTED + b"Content-Length: 5\r\n\r\n", b"hello"], [200]),
    "a body in two": ([POSTED + b"Content-Length: 5\r\n\r\nhe", b"llo"], [200]),
    "a body and a line feed": ([POSTED + b"Content-Length: 5\r\n\r\n", b"hello\r\n"], [200]),
    "a large body": ([POSTED + b"Content-Length: 200000\r\n\r\n", LARGE], [200]),
    "a large body twice": ([POSTED + b"Content-Length: 200000\r\n\r\n", LARGE] * 2, [200, 200]),
    "chunks": ([CHUNKS, b"5\r\nhello\r\n", b"0\r\n\r\n"], [200]),
    "large chunks": ([CHUNKS, b"30d40\r\n" + LARGE + b"\r\n", b"0\r\n\r\n", GOT], [200, 404]),
    "trailers": ([CHUNKS + b"0\r\n", b"A: b\r\n\r\n"], [200]),
    "no chunks": ([CHUNKS, b"0\r\n\r\n", GOT], [200, 404]),
    "a body that nobody reads": ([b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", b"hello"], [404]),
    "a body of a stranger": ([HEAD + b"Content-Length: 5\r\n\r\n", b"hello", GOT], [401, 404]),
    "a head that is cut before its end": ([GOT[:-1], GOT[-1:]], [404]),
    "a head that is cut before its last line": ([GOT[:-2], GOT[-2:]], [404]),
    "line by line": ([*GOT.splitlines(keepends=True)], [404]),
    "line feeds too many": ([GOT + b"\r\n", b"\r\n", GOT], [404, 404]),
    "forty at once": ([GOT * 40], [404] * 40),
    "a declined upgrade": ([GOT[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", GOT], [404, 404]),
    "an unmet expectation": ([HEAD + b"Expect: foo\r\nContent-Length: 5\r\n\r\n", b"hello", GOT], [417, 404]),
}  # fmt: skip


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d+) ", answers)]


@pytest.mark.parametrize(("pieces", "expected"), ORDINARY.values(), ids=ORDINARY)
async def test_an_ordinary_client_has_its_answers_and_no_word_more(
    hasty: Client, pieces: list[bytes], expected: list[int]
) -> None:
    async with connected(hasty) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await settle()

        answers = await reader.read()  # until the connection has been idle for too long

    assert statuses(answers) == expected


async def test_a_long_conversation_in_pieces_of_any_size_is_understood(hasty: Client) -> None:
    chance = random.Random(4)
    kinds = [
        (GOT, 404),
        (POSTED + b"Content-Length: 5\r\n\r\nhello", 200),
        (CHUNKS + b"5\r\nhello\r\n0\r\n\r\n", 200),
        (HEAD + b"Content-Length: 3\r\n\r\nabc", 401),
        (POSTED + b"Content-Length: 70000\r\n\r\n" + b"y" * 70_000, 200),
    ]
    sent = chance.choices(kinds, weights=[5, 5, 5, 5, 1], k=200)
    stream = b"".join(request for request, _ in sent) + b"GET /end HTTP/1.0\r\n\r\n"

    async with connected(hasty) as (reader, writer):
        answering = asyncio.create_task(reader.read())
        while stream:
            size = chance.choice([1, 7, 60, 400, 40_000])
            writer.write(stream[:size])
            stream = stream[size:]
            await asyncio.sleep(0)
        answers = await answering

    assert statuses(answers) == [*(status for _, status in sent), 404]


CHUNKED = b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"


async def test_a_body_that_turns_out_to_be_none_is_an_error_at_once(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    entered = asyncio.Event()

    async def reads(request: web.Request) -> web.Response:
        entered.set()
        return await read_all(request)

    client = await make_client((post("/open", reads, public),))
    async with connected(client) as (reader, writer):
        writer.write(b"POST /open HTTP/1.1\r\n" + CHUNKED)
        await entered.wait()
        writer.write(b"no chunk\r\n")

        answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.") == 1
    assert [line["http.response.status_code"] for line in log] == [400]


async def test_a_body_that_turns_out_to_be_none_after_its_answer_ends_the_connection(
    client: Client, log: list[EventDict]
) -> None:
    async with connected(client) as (reader, writer):
        writer.write(b"POST /api/private HTTP/1.1\r\n" + CHUNKED)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        writer.write(b"no chunk\r\n")

        assert b"HTTP/1." not in await reader.read()

    assert [line["http.response.status_code"] for line in log] == [405]


async def test_a_body_that_turns_out_to_be_none_while_it_waits_its_turn_is_an_error(
    make_client: MakeClient,
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        entered.set()
        await leave.wait()
        return web.Response()

    client = await make_client((get("/slow", slow, public), post("/open", read_all, public)))
    async with connected(client) as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await entered.wait()
        writer.write(b"POST /open HTTP/1.1\r\n" + CHUNKED)
        await settle()
        writer.write(b"no chunk\r\n")
        await settle()
        leave.set()

        answers = await reader.read()

    assert [line.split()[1] for line in answers.split(b"\r\n") if line.startswith(b"HTTP/")] == [
        b"200",
        b"400",
    ]


async def test_a_body_that_breaks_off_in_the_middle_of_an_answer_is_no_crash(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    begun = asyncio.Event()

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk)
            begun.set()
        return response

    client = await make_client((post("/open", echo, public),))
    async with connected(client) as (reader, writer):
        writer.write(b"POST /open HTTP/1.1\r\n" + CHUNKED)
        await begun.wait()
        writer.write(b"no chunk\r\n")

        assert not (await reader.read()).endswith(b"0\r\n\r\n")

    (line,) = log
    assert (line["event"], line["http.response.status_code"]) == ("request", 400)


async def test_what_follows_what_is_no_http_is_not_kept(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        entered.set()
        await leave.wait()
        return web.Response()

    client = await make_client((get("/slow", slow, public),))
    async with connected(client) as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await entered.wait()
        for _ in range(20):
            writer.write(b"\0" * 1000)
            await settle()
        leave.set()
        await reader.read()

    assert [line["http.response.status_code"] for line in log] == [200, 400]


@pytest.mark.parametrize(
    "line", [b"Expect: foo\r\n", b""], ids=["an unmet expectation", "another version"]
)
async def test_a_refused_request_whose_body_is_none_is_refused_and_no_more(
    client: Client, log: list[EventDict], line: bytes
) -> None:
    version = b"1.1" if line else b"2.0"
    head = b"POST /open HTTP/" + version + b"\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    async with connected(client) as (reader, writer):
        writer.write(head + line + b"\r\n")
        await settle()
        writer.write(b"zz\r\n")

        answers = await reader.read()

    assert len(re.findall(rb"HTTP/[12]\.[01] ", answers)) == 1
    assert [each["log_level"] for each in log] == ["info"]


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
async def test_another_version_of_http_is_not_spoken(client: Client, version: bytes) -> None:
    answer = await send(client, b"GET /api/public HTTP/" + version + b"\r\nHost: x\r\n\r\n")

    assert answer.status in {400, 505}


async def test_too_many_headers_are_too_large(client: Client, log: list[EventDict]) -> None:
    headers = b"".join(b"X-%d: s3cr3t\r\n" % number for number in range(200))

    answer = await send(client, b"GET /api/private HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")

    assert answer.status == 431
    assert b"s3cr3t" not in answer.raw
    assert [line["http.response.status_code"] for line in log] == [431]


async def test_a_flood_of_what_is_no_http_does_not_flood_the_log(
    client: Client, log: list[EventDict]
) -> None:
    sent = lines = 0
    while sent < 300 or len(log) == lines:  # until one more has left its line
        assert sent < 10_000
        lines = len(log)
        assert (await send(client, b"hello\r\n\r\n")).status == 400
        sent += 1

    told = [line.get("lines_held_back", 0) for line in log]
    assert all(line["log_level"] == "warning" for line in log)
    assert not any(told[:100])
    assert len(log) < sent
    assert len(log) + sum(told) == sent


async def test_a_client_that_does_not_read_has_its_line_when_it_has_read(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    called = asyncio.Event()

    async def give_much(_request: web.Request) -> web.Response:
        called.set()
        return web.Response(body=b"x" * 32_000_000)  # more than lies on the way

    client = await make_client((get("/", give_much, public),))
    async with connected(client) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" * 2)
        await called.wait()
        called.clear()
        await settle()

        assert not log
        assert not called.is_set(), "and nothing more is done for it meanwhile"

        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(32_000_000)
        await called.wait()
        assert [each["http.response.status_code"] for each in log] == [200]


async def test_the_rest_of_a_body_is_not_waited_for_when_its_sender_has_gone(
    client: Client,
) -> None:
    handler = client.server.handler
    assert handler is not None
    async with connected(client) as (reader, writer):
        writer.write(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404 ")

    async with asyncio.timeout(5):
        while handler.connections:  # noqa: ASYNC110 (the kernel tells nobody)
            await asyncio.sleep(0)


async def test_lines_that_were_held_back_are_told_at_the_end(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    client = await make_client()
    for _ in range(200):
        await send(client, b"hello\r\n\r\n")

    await client.close()

    lines = [line for line in log if line["event"] == "request"]
    assert (log[-1]["event"], log[-1]["of"]) == ("log.repeated", "request")
    assert len(lines) + sum(line.get("lines_held_back", 0) for line in log) == 200


async def test_who_reads_nothing_of_an_answer_is_let_go(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    async def give_much(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 32_000_000)  # more than lies on the way

    limits = USUAL_LIMITS.model_copy(update={"idle_timeout": 0.1})
    client = await make_client((get("/", give_much, public),), limits=limits)
    handler = client.server.handler
    assert handler is not None
    async with connected(client) as (_reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not log or handler.connections:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)

    assert [line["event"] for line in log] == ["request"]
