"""Bodies that are larger than may be, on real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from io import BytesIO

import pytest
from aiohttp import FormData, web
from structlog.typing import EventDict

from server.web import authenticated, post, public
from server.web.limits import Limits
from tests.conftest import Client, MakeClient
from tests.minting import token
from tests.raw import connected, send
from tests.web.conftest import read_all

pytestmark = pytest.mark.usefixtures("calm")

BEARER = b"Authorization: Bearer " + token().encode() + b"\r\n"
HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"190\r\n" + b"x" * 400 + b"\r\n"
END = b"0\r\n\r\n"
SMALL = Limits(max_body_size=1000, body_timeout=0.2)


async def stream(request: web.Request) -> web.Response:
    size = 0
    async for piece in request.content.iter_chunked(64):
        size += len(piece)
    return web.Response(text=str(size))


async def parse(request: web.Request) -> web.Response:
    return web.json_response(await request.json())


HANDLERS: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
    "all at once": read_all,
    "piece by piece": stream,
    "as JSON": parse,
}


@pytest.fixture
async def small(make_client: MakeClient) -> Client:
    rows = (post("/x", read_all, authenticated), post("/open", stream, public))
    return await make_client(rows, limits=SMALL)


@pytest.mark.parametrize(
    "lines",
    [b"", b"Expect: 100-continue\r\n", b"Content-Type: application/x-www-form-urlencoded\r\n"],
    ids=["a body", "an invitation", "a form"],
)
async def test_a_body_that_is_told_to_be_too_large_is_not_read(
    small: Client, log: list[EventDict], lines: bytes
) -> None:
    answer = await send(small, HEAD + BEARER + lines + b"Content-Length: 1001\r\n\r\n")

    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.problem["detail"] == "Maximum request body size 1000 exceeded."
    assert answer.problem["request_id"] == answer.headers["x-request-id"]
    (line,) = log
    assert (line["http.response.status_code"], line["auth.outcome"]) == (413, "granted")
    assert (line["log_level"], line["request_id"]) == ("info", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "body", [b"Content-Length: 1001\r\n\r\n", CHUNKED + CHUNK * 3], ids=["told", "sent"]
)
async def test_a_stranger_is_not_told_how_large_a_body_may_be(small: Client, body: bytes) -> None:
    assert (await send(small, HEAD + body)).status == 401


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, CHUNKED + CHUNK * 2 + END],
    ids=["a length", "chunks"],
)
async def test_a_body_up_to_the_limit_is_read(small: Client, body: bytes) -> None:
    assert (await send(small, HEAD + BEARER + body)).status == 200


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
async def test_chunks_that_grow_too_large_are_cut_off_however_they_are_read(
    make_client: MakeClient,
    log: list[EventDict],
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> None:
    entered = asyncio.Event()

    async def enter(request: web.Request) -> web.Response:
        entered.set()
        return await handler(request)

    client = await make_client((post("/open", enter, public),), limits=SMALL)
    async with connected(client) as (reader, writer):
        writer.write(b"POST /open HTTP/1.1\r\nHost: x\r\n" + CHUNKED + CHUNK)
        await entered.wait()
        writer.write(CHUNK * 2)  # and no end

        answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert [line["http.response.status_code"] for line in log] == [413]


async def test_chunks_that_are_too_large_at_once_are_not_read(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    async def never(_request: web.Request) -> web.Response:
        raise AssertionError

    client = await make_client((post("/open", never, public),), limits=SMALL)
    sent = b"POST /open HTTP/1.1\r\nHost: x\r\n" + CHUNKED + CHUNK * 3 + END

    answer = await send(client, sent + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert [line["http.response.status_code"] for line in log] == [413]


async def test_a_body_that_grows_too_large_before_the_next_request_is_cut_off_too(
    make_client: MakeClient,
) -> None:
    entered = asyncio.Event()

    async def enter(request: web.Request) -> web.Response:
        entered.set()
        return await stream(request)

    client = await make_client((post("/open", enter, public),), limits=SMALL)
    async with connected(client) as (reader, writer):
        writer.write(b"POST /open HTTP/1.1\r\nHost: x\r\n" + CHUNKED + CHUNK)
        await entered.wait()
        writer.write(CHUNK * 2 + END + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")

        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")


async def test_who_sends_all_of_it_first_can_read_the_answer(make_client: MakeClient) -> None:
    length = 5_000_000
    client = await make_client((post("/x", read_all, public),), limits=Limits(max_body_size=1000))
    async with connected(client) as (reader, writer):
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % length)
        for _ in range(50):
            writer.write(b"x" * (length // 50))
            await writer.drain()

        assert (await reader.read()).startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_grows_too_large_in_the_middle_of_an_answer_is_no_crash(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    begun = asyncio.Event()

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
            begun.set()
        return response

    client = await make_client((post("/open", echo, public),), limits=SMALL)
    async with connected(client) as (reader, writer):
        writer.write(b"POST /open HTTP/1.1\r\nHost: x\r\n" + CHUNKED + CHUNK)
        await begun.wait()
        writer.write(CHUNK * 2 + END)

        assert not (await reader.read()).endswith(END)

    assert [line["event"] for line in log] == ["request"]


async def test_a_limit_above_aiohttps_own_holds_for_all_readers(make_client: MakeClient) -> None:
    async def take_form(request: web.Request) -> web.Response:
        form = await request.post()
        return web.Response(text=str(len(str(form["a"]))))

    rows = (post("/open", read_all, public), post("/form", take_form, public))
    client = await make_client(rows, limits=Limits(max_body_size=3 << 20))
    form = FormData(dict.fromkeys("abc", "x" * 900000), default_to_multipart=True)

    assert (await client.post("/open", data=BytesIO(b"x" * (3 << 20)))).status == 200
    assert (await client.post("/form", data=form)).status == 200
    assert (await client.post("/open", data=BytesIO(b"x" * (3 << 20) + b"x"))).status == 413


async def test_where_none_may_have_a_body_nothing_is_no_body(make_client: MakeClient) -> None:
    rows = (post("/open", stream, public),)
    client = await make_client(rows, limits=Limits(max_body_size=0))

    assert (await client.post("/open")).status == 200
    assert (await client.post("/open", data=b"x")).status == 413
