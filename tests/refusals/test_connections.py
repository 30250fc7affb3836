"""Who sends no end, nothing at all, or goes away: nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.refusals.conftest import Door, bearer
from tests.refusals.forging import forged, headed, rows

GOOD, JUNK = bearer(forged()), bearer("junk.junk.junk")
FORM = b"Content-Type: application/x-www-form-urlencoded"

UNFINISHED: dict[str, list[bytes]] = {
    "a length": [b"Content-Length: 1000000"],
    "a vast length": [b"Content-Length: 999999999999999"],
    "chunks": [b"Transfer-Encoding: chunked"],
    "a form": [b"Content-Length: 1000000", FORM],
    "a form in chunks": [b"Transfer-Encoding: chunked", FORM],
    "a packed body": [b"Content-Length: 1000000", b"Content-Encoding: gzip"],
}
BEGINNINGS = {"nothing": b"", "a little": b"5\r\nabcde\r\n", "much": b"10000\r\n" + b"x" * 65536}


@rows("lines", UNFINISHED)
@rows("beginning", BEGINNINGS)
async def test_who_may_not_is_told_before_the_body_is_there(
    door: Door, lines: list[bytes], beginning: bytes
) -> None:
    sent = {"method": b"POST", "body": beginning}

    await door.refuses(*lines, reason="missing_token", **sent)
    await door.refuses(*lines, JUNK, reason="malformed", **sent)
    await door.refuses(*lines, bearer(headed(kid=...) + "x"), reason="malformed", **sent)


IDLE = {"nothing": b"", "half a line": b"GET /priv", "half a head": b"GET /private HTTP/1.1\r\nHost: api\r\nAuth"}  # fmt: skip


@asynccontextmanager
async def connected(door: Door, beginning: bytes) -> AsyncIterator[asyncio.StreamWriter]:
    _reader, writer = await asyncio.open_connection("127.0.0.1", door.client.server.port)
    writer.write(beginning)
    await writer.drain()
    try:
        yield writer
    finally:
        writer.close()
        await writer.wait_closed()


@rows("beginning", IDLE)
async def test_idle_connections_are_in_nobodys_way(door: Door, beginning: bytes) -> None:
    async with AsyncExitStack() as open_connections:
        for _ in range(200):
            await open_connections.enter_async_context(connected(door, beginning))

        await door.admits(GOOD)
        await door.refuses(reason="missing_token")
    door.hold_calm()


_HEAD = b"POST /private HTTP/1.1\r\nHost: api\r\n" + GOOD + b"\r\n"

# What is sent before the client is gone, and how many requests that makes.
GONE = {
    "before a word": (b"", 0), "in the first line": (b"GET /pri", 0), "in the head": (b"GET /private HTTP/1.1\r\nHost: api\r\nAuthorization: Bea", 0),
    "in a body": (_HEAD + b"Content-Length: 100\r\n\r\nhalf", 1), "in a chunk": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhalf", 1),
    "in a form": (_HEAD + FORM + b"\r\nContent-Length: 100\r\n\r\na=b", 1), "without waiting": (_HEAD + b"\r\n", 1),
    "without waiting to be refused": (b"GET /private HTTP/1.1\r\nHost: api\r\n" + JUNK + b"\r\n\r\n", 1),
}  # fmt: skip


@pytest.mark.parametrize("abruptly", [True, False], ids=["abruptly", "orderly"])
@rows(("beginning", "requests"), GONE)
async def test_a_client_that_goes_away_leaves_one_line_and_no_fault(
    door: Door, beginning: bytes, requests: int, abruptly: bool
) -> None:
    async with connected(door, beginning) as writer:
        if abruptly:
            writer.transport.abort()
    assert (await door.ask(GOOD)).status == 200

    await door.client.server.close()

    events = [each["event"] for each in door.log]
    assert events == ["request"] * (requests + 1)
    door.hold_calm()
