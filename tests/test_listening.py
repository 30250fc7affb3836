import socket
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from server.listening import ListenError, bind, listening, on_port, private

Listen = Callable[[str, int], Awaitable[None]]


async def alone(host: str, port: int) -> None:
    async with listening(private(web.Application()), on_port(host, port, "its.port"), "here"):
        raise AssertionError


async def for_workers(host: str, port: int) -> None:
    bind(host, port, "its.port")
    raise AssertionError


@pytest.mark.parametrize("listen", [alone, for_workers])
async def test_a_port_in_use_is_told_with_its_setting(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(ListenError) as told:
            await listen("127.0.0.1", port)

    assert str(told.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use (its.port)"
    )


@pytest.mark.parametrize("listen", [alone, for_workers])
@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("nowhere.invalid", "cannot listen on nowhere.invalid: "),
        ("a..b", "cannot listen on a..b: no host has such a name"),
        ("203.0.113.1", "cannot listen on 203.0.113.1:"),
    ],
)
async def test_a_host_that_is_not_ours_is_told(listen: Listen, host: str, says: str) -> None:
    with pytest.raises(ListenError) as told:
        await listen(host, 0)

    assert str(told.value).startswith(says)
