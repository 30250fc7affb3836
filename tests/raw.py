"""HTTP as no client library would send it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tests.conftest import Client

_PATIENCE = 15  # seconds; what hangs is to fail


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def problem(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.body)
        return document


@asynccontextmanager
async def connected(
    client: Client,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    try:
        async with asyncio.timeout(_PATIENCE):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def send(client: Client, *parts: bytes) -> Answer:
    """Send bytes as they are; read until the server closes or has answered whole."""
    async with connected(client) as (reader, writer):
        for part in parts:
            writer.write(part)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").strip().split("\r\n")
        named = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in named}
        length = 0 if parts[0].startswith(b"HEAD ") else int(headers.get("content-length", "0"))
        body = await reader.readexactly(length)
    return Answer(int(status_line.split()[1]), headers, body, head + body)
