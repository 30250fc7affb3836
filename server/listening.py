"""Ports: had, or a word on why not; and what listens on them, with an end in bounded time."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager

import structlog
from aiohttp import web

from server.config import ListenSettings
from server.web.connection import Connection
from server.web.listener import Connect, Runner

# In seconds.
_GIVE_UP = 1.0
_MOMENT = 0.1
_BACKLOG = 1024

OpenSites = Callable[[web.AppRunner], Sequence[web.BaseSite]]
"""Makes of a runner the sites that it listens on."""


class ListenError(Exception):
    """A port cannot be had."""


def bind(host: str, port: int, setting: str) -> list[socket.socket]:
    """
    Listen on *port* of each address of *host*, for processes that are forked later.

    Args:
        setting: the port's name in the configuration.

    Raises:
        ListenError: it cannot be had.
    """
    with _explaining(host, port, setting), ExitStack() as stack:
        kinds = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets = []
        for family, kind, protocol, _, address in dict.fromkeys(kinds):
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.settimeout(0)
            listener.bind(address)
            listener.listen(_BACKLOG)
            sockets.append(listener)
        stack.pop_all()
    return sockets


def on_port(host: str, port: int, setting: str) -> OpenSites:
    """Listen on *port* of *host*; *setting* is its name in the configuration."""
    return lambda runner: [_Site(runner, host, port, setting)]


@asynccontextmanager
async def listening(
    runner: Runner,
    open_sites: OpenSites,
    address: str,
    *,
    at_once: asyncio.Event,
    give_up: float = _GIVE_UP,
) -> AsyncIterator[None]:
    """
    Serve with *runner*, and end it.

    Args:
        address: what the log calls it.
        at_once: whether that is to be waited for.
        give_up: on what has not ended, after that many seconds.

    Raises:
        ListenError: a port cannot be had.
    """
    await runner.setup()
    try:
        for site in open_sites(runner):
            await site.start()
        yield
    finally:
        if not await _ends(runner, at_once, give_up):
            structlog.get_logger().warning("server.gave_up", address=address)
            await runner.cut_off()


async def _ends(runner: Runner, at_once: asyncio.Event, give_up: float) -> bool:
    ending = asyncio.create_task(runner.cleanup())
    told = asyncio.create_task(at_once.wait())
    await asyncio.wait([ending, told], timeout=give_up, return_when=asyncio.FIRST_COMPLETED)
    if told.done():
        await asyncio.wait([ending], timeout=_MOMENT)
    told.cancel()
    if ending.done():
        await ending
        return True
    ending.cancel()
    await asyncio.wait([ending])
    return False


def public(
    app: web.Application, listen: ListenSettings, *, workers: int, connect: Connect = Connection
) -> Runner:
    """
    Run *app* for clients, in one of so many *workers*.

    Args:
        connect: makes the connections.
    """
    return Runner(
        app,
        shutdown_timeout=listen.shutdown_timeout,
        log_requests=True,
        limits=listen,
        room=listen.share(workers),
        proxies=listen.trusted_proxies,
        connect=connect,
    )


def private(app: web.Application) -> Runner:
    """Run *app* for operators and developers."""
    return Runner(app, shutdown_timeout=_GIVE_UP / 2, log_requests=False)


class _Site(web.TCPSite):
    __slots__ = ("_setting",)

    def __init__(self, runner: web.AppRunner, host: str, port: int, setting: str) -> None:
        super().__init__(runner, host, port, backlog=_BACKLOG)
        self._setting = setting

    async def start(self) -> None:
        with _explaining(self._host, self._port, self._setting):
            await super().start()


@contextmanager
def _explaining(host: str | None, port: int, setting: str) -> Iterator[None]:
    try:
        yield
    except socket.gaierror as error:
        raise ListenError(f"cannot listen on {host}: {error.strerror}") from error
    except UnicodeError as error:
        raise ListenError(f"cannot listen on {host}: no host has such a name") from error
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else str(error)
        raise ListenError(f"cannot listen on {host}:{port}: {cause} ({setting})") from error
