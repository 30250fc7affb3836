"""What cannot be had, and how what listens comes to its end."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from aiohttp import ClientConnectionError, ClientSession, web
from structlog.typing import EventDict

from server.listening import ListenError, bind, listening, on_port, private
from server.web.listener import Runner
from server.web.problems import problem_details

Listen = Callable[[str, int], Awaitable[None]]


async def alone(host: str, port: int) -> None:
    sites = on_port(host, port, "its.port")
    async with listening(private(web.Application()), sites, "here", at_once=asyncio.Event()):
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


class Stuck:
    """An API whose only request never ends."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        app = web.Application(middlewares=[problem_details(lambda: "here")])
        app.router.add_get("/", self.stick)
        self.runner = Runner(app, shutdown_timeout=3600, log_requests=True)

    async def stick(self, _request: web.Request) -> web.Response:
        self.entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def ask(self) -> None:
        (address,) = self.runner.addresses
        with suppress(ClientConnectionError):
            async with ClientSession() as session, session.get(f"http://127.0.0.1:{address[1]}"):
                raise AssertionError


@pytest.mark.parametrize("asked_twice", [True, False], ids=["asked twice", "by its time"])
async def test_what_never_ends_is_cut_off_and_leaves_its_line(
    log: list[EventDict], asked_twice: bool
) -> None:
    stuck, at_once = Stuck(), asyncio.Event()
    sites = on_port("127.0.0.1", 0, "listen.port")
    give_up = 3600 if asked_twice else 0.01
    async with listening(stuck.runner, sites, "here", at_once=at_once, give_up=give_up):
        asking = asyncio.create_task(stuck.ask())
        await stuck.entered.wait()
        if asked_twice:
            asyncio.get_running_loop().call_soon(at_once.set)

    await asking
    assert [each["event"] for each in log] == ["server.gave_up", "request"]
    assert log[0]["address"] == "here"
    assert "http.response.status_code" not in log[1]


async def test_what_has_nothing_to_do_ends_without_a_word(log: list[EventDict]) -> None:
    at_once = asyncio.Event()
    at_once.set()
    async with listening(
        Stuck().runner, on_port("127.0.0.1", 0, "listen.port"), "here", at_once=at_once
    ):
        pass

    assert log == []
