"""Bodies that cannot be read are the client's fault, and what a handler does with them is its own."""

import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from structlog.typing import EventDict

from server.web import post, public
from tests.conftest import MakeClient

Read = Callable[[web.Request], Awaitable[object]]
READERS: dict[str, Read] = {
    "json": lambda request: request.json(),
    "text": lambda request: request.text(),
    "post": lambda request: request.post(),
}

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"

UNREADABLE: dict[str, tuple[str, str, bytes]] = {
    "half of JSON": ("json", JSON, b'{"a":'),
    "no JSON": ("json", JSON, b"hello"),
    "no UTF-8 in JSON": ("json", JSON, b'{"a": "\xff"}'),
    "deep JSON": ("json", JSON, b"[" * 100_000),
    "JSON with a number of 5,000 digits": ("json", JSON, b"9" * 5000),
    "a charset that nobody knows": ("text", "text/plain; charset=nobodys", b"hello"),
    "a codec that is no charset": ("text", "text/plain; charset=base64", b"hello"),
    "text that is none": ("text", "text/plain; charset=ascii", b"\xff"),
    "a form of no text": ("post", f"{FORM}; charset=ascii", b"a=\xff"),
    "a form of a charset that nobody knows": ("post", f"{FORM}; charset=nobodys", b"a=b"),
    "parts without a boundary": ("post", "multipart/form-data", b"a"),
    "parts that are none": ("post", MULTIPART, b"hello"),
    "a part without an end": ("post", MULTIPART, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb'),
    "a part whose header is none": ("post", MULTIPART, b"--x\r\nhello\r\n\r\nb\r\n--x--\r\n"),
    "a part in a transfer encoding that nobody knows": ("post", MULTIPART, b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: nobodys\r\n\r\nb\r\n--x--\r\n'),
    "a part in a charset that nobody knows": ("post", MULTIPART, b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=nobodys\r\n\r\nb\r\n--x--\r\n'),
}  # fmt: skip


@pytest.mark.parametrize(("reader", "content_type", "body"), UNREADABLE.values(), ids=UNREADABLE)
async def test_a_body_that_cannot_be_read_is_a_bad_request(
    make_client: MakeClient, log: list[EventDict], reader: str, content_type: str, body: bytes
) -> None:
    async def handler(request: web.Request) -> web.Response:
        await READERS[reader](request)
        return web.Response()

    client = await make_client((post("/x", handler, public),))

    response = await client.post("/x", data=body, headers={"Content-Type": content_type})

    assert response.status == 400
    assert response.content_type == "application/problem+json"
    assert [event["log_level"] for event in log] == ["info"]


async def test_what_a_handler_makes_of_a_body_is_its_own_affair(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(json.loads(await request.read()))

    client = await make_client((post("/x", handler, public),))

    assert (await client.post("/x", data=b"hello")).status == 500
    assert "server.error" in [event["event"] for event in log]
