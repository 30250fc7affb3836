"""Clients that are told to leave, because the server is about to end."""

import asyncio

from aiohttp import web
from structlog.typing import EventDict

from server.web import get, post, public
from server.web.listener import Runner
from tests.conftest import Client, MakeClient
from tests.raw import connected, send

LAST = b"\r\nConnection: close\r\n"


def ask(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def say(_request: web.Request) -> web.Response:
    return web.Response(text="said")


def drain(client: Client) -> None:
    assert isinstance(client.server.runner, Runner)
    client.server.runner.drain()


async def test_the_next_answer_of_each_connection_is_its_last(make_client: MakeClient) -> None:
    client = await make_client((get("/", say, public),))
    async with connected(client) as (reader, writer):
        writer.write(ask("/"))
        assert LAST not in await reader.readuntil(b"said")

        drain(client)

        writer.write(ask("/"))
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert LAST in answer


async def test_who_comes_then_is_served_once(make_client: MakeClient) -> None:
    client = await make_client((get("/", say, public),))
    drain(client)

    for path, status in (("/", 200), ("/nothing", 404)):
        answer = await send(client, ask(path))
        assert (answer.status, answer.headers["connection"]) == (status, "close")


async def test_what_is_being_answered_is_the_last_too(make_client: MakeClient) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        assert request.keep_alive
        entered.set()
        await leave.wait()
        return web.Response(text="said")

    client = await make_client((get("/", slow, public),))
    async with connected(client) as (reader, writer):
        writer.write(ask("/"))
        await entered.wait()

        drain(client)
        leave.set()

        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert LAST in answer


async def test_a_body_that_has_not_come_by_the_end_is_no_fault_of_ours(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    entered = asyncio.Event()

    async def read(request: web.Request) -> web.Response:
        entered.set()
        return web.Response(body=await request.read())

    client = await make_client((post("/", read, public),))
    runner = client.server.runner
    assert isinstance(runner, Runner)
    assert runner.server is not None
    async with connected(client) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        await entered.wait()

        await runner.server.shutdown(0.01)

        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert LAST in answer
    assert [line["event"] for line in log] == ["request"]
