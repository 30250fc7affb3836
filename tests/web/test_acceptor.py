"""Connections that several processes share."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.typing import EventDict

from server.web.acceptor import SharedSite, is_anothers, never


@pytest.mark.parametrize(
    ("mine", "others", "leaves"),
    [(0, [], False), (9, [], False), (0, [0], False), (1, [0], True), (1, [1, 0], True), (1, [1, 2], False)],
)  # fmt: skip
def test_the_next_connection_is_for_who_has_the_fewest(
    mine: int, others: list[int], leaves: bool
) -> None:
    assert is_anothers(mine, others) is leaves


@given(st.lists(st.integers(0, 50), min_size=1))
def test_somebody_takes_it_and_nobody_with_more_than_another(counts: list[int]) -> None:
    takers = [
        mine
        for place, mine in enumerate(counts)
        if not is_anothers(mine, counts[:place] + counts[place + 1 :])
    ]

    assert set(takers) == {min(counts)}


class Listener(socket.socket):
    """A listening socket of a process that may have too many files open."""

    fault = 0

    def accept(self) -> tuple[socket.socket, object]:
        if self.fault:
            raise OSError(self.fault, "too many")
        return super().accept()


def listener() -> Listener:
    made = Listener()
    made.bind(("127.0.0.1", 0))
    made.listen()
    made.settimeout(0)
    return made


@asynccontextmanager
async def serving(
    own: socket.socket,
    *,
    leave: Callable[[int], bool] = never,
    tell: Callable[[int], None] = lambda _mine: None,
) -> AsyncIterator[web.ServerRunner]:
    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(text="answered")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await SharedSite(runner, own, leave=leave, tell=tell).start()
    yield runner
    await runner.cleanup()


async def ask(address: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def test_connections_are_taken_and_counted() -> None:
    own = listener()
    told: list[int] = []
    async with serving(own, tell=told.append):
        assert b"answered" in await ask(own.getsockname())

    assert max(told) >= 1


async def test_one_that_nobody_takes_is_taken_all_the_same() -> None:
    own = listener()
    async with serving(own, leave=lambda _mine: True):
        for _ in range(3):
            assert b"answered" in await ask(own.getsockname())


async def test_two_who_share_leave_each_other_every_other_connection() -> None:
    one, other = listener(), None
    other = one.dup()
    counts = [0, 0]

    def tell(place: int) -> Callable[[int], None]:
        return lambda mine: counts.__setitem__(place, mine)

    async with (
        serving(one, leave=lambda mine: is_anothers(mine, counts[1:]), tell=tell(0)) as first,
        serving(other, leave=lambda mine: is_anothers(mine, counts[:1]), tell=tell(1)) as second,
    ):
        streams = [await asyncio.open_connection(*one.getsockname()) for _ in range(16)]
        while sum(counts) < len(streams):  # noqa: ASYNC110 (the kernel tells nobody)
            await asyncio.sleep(0)
        assert first.server is not None
        assert second.server is not None
        assert abs(len(first.server.connections) - len(second.server.connections)) <= 2
        for _, writer in streams:
            writer.close()


async def test_too_many_open_files_are_told_once_and_waited_for(log: list[EventDict]) -> None:
    own = listener()
    own.fault = errno.EMFILE
    async with serving(own):
        asking = asyncio.create_task(ask(own.getsockname()))
        while not log:  # noqa: ASYNC110 (a log has no event)
            await asyncio.sleep(0)
        own.fault = 0
        assert b"answered" in await asking

    assert [each["event"] for each in log] == ["server.cannot_accept"]


async def test_who_stops_in_a_pause_takes_no_more() -> None:
    own = listener()
    paused = asyncio.Event()

    def leave(_mine: int) -> bool:
        paused.set()
        return True

    async with serving(own, leave=leave):
        address = own.getsockname()
        asking = asyncio.create_task(ask(address))
        await paused.wait()
    with pytest.raises(ConnectionError):
        await asking
