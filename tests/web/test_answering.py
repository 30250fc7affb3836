import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import web
from multidict import CIMultiDict

from server.web import get, post, public
from tests.conftest import Client, MakeClient
from tests.raw import connected

Make = Callable[[], web.StreamResponse]


def with_cookie() -> web.Response:
    response = web.Response(text="x")
    response.set_cookie("a", "b")
    return response


def closing() -> web.Response:
    response = web.Response(body=b"x")
    response.force_close()
    return response


def packed() -> web.Response:
    response = web.Response(body=b"x" * 2000)
    response.enable_compression(web.ContentCoding.gzip)
    return response


def chunked() -> web.Response:
    response = web.Response(body=b"x")
    response.enable_chunked_encoding()
    return response


ANSWERS: dict[str, Make] = {
    "text": lambda: web.Response(text="grüße"),
    "bytes": lambda: web.Response(body=b"\x00\xff", content_type="application/json"),
    "bytes of no type": lambda: web.Response(body=b"x"),
    "no body": web.Response,
    "an empty body with a type": lambda: web.Response(body=b"", content_type="text/plain"),
    "a bytearray": lambda: web.Response(body=bytearray(b"x")),
    "created": lambda: web.Response(status=201, headers={"Location": "/1"}, body=b"x"),
    "a reason of its own": lambda: web.Response(status=418, reason="Short and stout"),
    "an unknown status": lambda: web.Response(status=799, body=b"x"),
    "no content": lambda: web.Response(status=204),
    "not modified": lambda: web.Response(status=304, headers={"ETag": '"1"'}),
    "a length of its own": lambda: web.Response(body=b"xyz", headers={"Content-Length": "3"}),
    "a date of its own": lambda: web.Response(body=b"x", headers={"Date": "today"}),
    "a server of its own": lambda: web.Response(body=b"x", headers={"Server": "mine/1.0"}),
    "a connection of its own": lambda: web.Response(body=b"x", headers={"Connection": "close"}),
    "an id of its own": lambda: web.Response(body=b"x", headers={"X-Request-Id": "mine"}),
    "headers twice": lambda: web.Response(body=b"x", headers=CIMultiDict([("A", "1"), ("A", "2")])),
    "a header of theirs and a type": lambda: web.Response(
        text="x", headers={"Vary": "Accept", "Cache-Control": "no-store"}
    ),
    "a cookie": with_cookie,
    "closing": closing,
    "packed": packed,
    "chunked": chunked,
    "a stream": lambda: web.StreamResponse(headers={"Content-Length": "0"}),
}
LAST = b"GET /gone HTTP/1.1\r\nHost: x\r\nX-Request-Id: 2\r\nConnection: close\r\n\r\n"
REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\n\r\n" + LAST,
    b"HEAD / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\n\r\n" + LAST,
    b"POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\nContent-Length: 3\r\n\r\nabc" + LAST,
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\nOrigin: https://a.example\r\n\r\n" + LAST,
    b"GET / HTTP/1.0\r\nX-Request-Id: 1\r\nConnection: keep-alive\r\n\r\n" + LAST,
    b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: 1\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\nX-Request-Id: 1\r\n\r\n",
]


def as_aiohttp_does(app: web.Application) -> None:
    async def see(_request: web.Request, _response: web.StreamResponse) -> None:
        pass

    # Who else looks at answers before they go keeps them from being written at once.
    app.on_response_prepare.append(see)


@pytest.fixture
async def both(
    make_client: MakeClient,
) -> Callable[[Make], Awaitable[tuple[Client, Client]]]:
    async def serve(make: Make) -> tuple[Client, Client]:
        async def answer(_request: web.Request) -> web.StreamResponse:
            return make()

        rows = (get("/", answer, public), post("/", answer, public))
        cors = {"origins": ["https://a.example"]}
        ours = await make_client(rows, cors=cors)
        theirs = await make_client(rows, cors=cors, prepare=as_aiohttp_does)
        return ours, theirs

    return serve


@pytest.mark.parametrize("make", ANSWERS.values(), ids=ANSWERS)
async def test_what_is_written_at_once_is_what_aiohttp_writes(
    both: Callable[[Make], Awaitable[tuple[Client, Client]]], make: Make
) -> None:
    ours, theirs = await both(make)

    for sent in REQUESTS:
        written, expected = [await send_and_read(each, sent) for each in (ours, theirs)]

        assert undated(written) == undated(expected)


async def send_and_read(client: Client, sent: bytes) -> bytes:
    async with connected(client) as (reader, writer):
        writer.write(sent)
        whole = b""
        # Where the server closes before it has read all, the system says so with a reset.
        with suppress(ConnectionResetError):
            while piece := await reader.read(65536):
                whole += piece
        return whole


def undated(raw: bytes) -> bytes:
    return re.sub(rb"Date: (?!today)[^\r]+", b"Date: now", raw)
