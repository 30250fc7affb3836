"""What only raw bytes on a real socket can show."""

import asyncio
from ipaddress import ip_network

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient
from structlog.typing import EventDict

from server.web import authenticated, get, post, public
from tests.conftest import Client, KeyturnServer, MakeClient
from tests.minting import token
from tests.raw import send


def get_private(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET /api/private HTTP/1.1", b"Host: x", *lines, b"", b""])


async def test_a_header_line_over_the_limit_is_too_large_and_not_echoed(
    client: Client, log: list[EventDict]
) -> None:
    secret = b"s3cr3t" * 4000

    answer = await send(client, get_private(b"Authorization: Bearer " + secret))

    assert answer.status == 431
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.problem["request_id"] == answer.headers["x-request-id"]
    assert b"s3cr3t" not in answer.raw
    assert "s3cr3t" not in str(log)
    (line,) = log
    assert line["http.response.status_code"] == 431


async def test_a_large_token_on_a_line_within_the_limit_is_refused_as_a_token(
    client: Client, log: list[EventDict]
) -> None:
    answer = await send(client, get_private(b"Authorization: Bearer " + b"x" * 16_000))

    assert answer.status == 401
    assert log[-1]["auth.reason"] == "token_too_large"


async def test_a_target_over_the_limit_is_too_long(client: Client) -> None:
    assert (await send(client, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n")).status == 414


NO_HTTP = {
    "words": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(80) + b"\r\n\r\n",
    "a bad version": b"GET / HTTP/9.9.9\r\n\r\n",
    "NUL in a header": get_private(b"X: a\x00b"),
    "a header without a colon": get_private(b"Authorization Bearer s3cr3t"),
    "a folded header": get_private(b"Authorization: Bearer", b" s3cr3t"),
    "two lengths": get_private(b"Content-Length: 1", b"Content-Length: 2"),
    "a length and chunks": get_private(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
    "a bad length": get_private(b"Content-Length: s3cr3t"),
    "an impossible host": b"GET http://xn--/a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel to an impossible host": b"CONNECT xn--:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a bare line feed": b"GET /api/private HTTP/1.1\nAuthorization: Bearer s3cr3t\n\n",
}


@pytest.mark.parametrize("raw", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_the_parser_refuses_is_a_problem_and_a_line_without_an_echo(
    client: Client, log: list[EventDict], raw: bytes
) -> None:
    answer = await send(client, raw)

    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["server"] == "keyturn"
    assert answer.problem["request_id"] == answer.headers["x-request-id"]
    assert b"s3cr3t" not in answer.raw
    (line,) = log
    assert line["event"] == "request"
    assert line["log_level"] == "warning"
    assert line["auth.outcome"] == "anonymous"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "url.path" not in line
    assert "s3cr3t" not in str(line)


async def test_bytes_that_are_no_text_are_a_malformed_token(
    client: Client, log: list[EventDict]
) -> None:
    answer = await send(client, get_private(b"Authorization: Bearer \x80\xff"))

    assert answer.status == 401
    assert answer.problem["error"] == "invalid_token"
    assert log[-1]["auth.reason"] == "malformed"


async def test_two_authorization_lines_are_an_invalid_request(client: Client) -> None:
    line = b"Authorization: Bearer " + token().encode()

    assert (await send(client, get_private(line, line))).status == 400


async def test_a_strangers_body_is_not_waited_for(make_client: MakeClient) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    client = await make_client((post("/x", handler, authenticated),))
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"

    assert (await send(client, head, b"only this")).status == 401


async def test_no_body_is_unpacked_whatever_application_it_is_for(
    aiohttp_client: AiohttpClient, log: list[EventDict]
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application()
    app.router.add_post("/x", handler)
    client: Client = await aiohttp_client(KeyturnServer(app))
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n"

    answer = await send(client, head, b"no gzip")

    assert (answer.status, answer.body) == (200, b"no gzip")


async def test_a_client_that_goes_away_leaves_one_line(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        entered.set()
        await leave.wait()
        return web.Response(text="too late")

    client = await make_client((get("/slow", slow, public), get("/done", slow, public)))
    _reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await entered.wait()
    writer.transport.abort()
    await client.get("/nothing")
    leave.set()
    await client.get("/done")

    lines = [event for event in log if event.get("url.path") == "/slow"]
    assert len(lines) == 1


async def test_a_request_that_stopping_cuts_off_leaves_one_line(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    entered = asyncio.Event()

    async def stuck(_request: web.Request) -> web.Response:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    proxies = (ip_network("127.0.0.0/8"),)
    client = await make_client((get("/stuck", stuck, public),), proxies=proxies)
    behind = {"X-Forwarded-For": "203.0.113.9"}
    asking = asyncio.create_task(client.get("/stuck", headers=behind))
    await entered.wait()

    await client.server.close()
    await asyncio.gather(asking, return_exceptions=True)

    (line,) = [event for event in log if event.get("url.path") == "/stuck"]
    assert "http.response.status_code" not in line
    assert line["client.address"] == "203.0.113.9"


@pytest.mark.parametrize("target", [b"http://x/api/private", b"//api/private", b"/api/%70rivate"])
async def test_a_target_in_another_form_never_meets_a_weaker_rule(
    client: Client, target: bytes
) -> None:
    answer = await send(client, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.status in {401, 404}
