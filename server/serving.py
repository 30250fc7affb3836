"""Listening, serving, stopping."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
import uvloop
from aiohttp import web

from server import __version__, logs
from server.app import Keyturn
from server.config import Config
from server.dev_issuer.endpoints import DevIssuer
from server.jwks.connection import open_session
from server.reloading import obey_reloads
from server.settings import base_url
from server.web.listener import Runner
from server.web.operations import operations_app

# In seconds; together less than the ten that a supervisor grants.
_FINISH_REQUESTS = 6.0
_GIVE_UP_REQUESTS = 7.0
_GIVE_UP = 1.0
_END = 9.3
_LAST_LINES = 0.3
_BACKLOG = 1024


class ListenError(Exception):
    """A port cannot be had."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is being served, and where."""

    keyturn: Keyturn
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signals:
    """
    What the process was told.

    Attributes:
        stop: by SIGINT or SIGTERM, or by a terminal that has gone.
        reload: by SIGHUP.
    """

    stop: asyncio.Event
    reload: asyncio.Event


def run(main: Callable[[Signals], Coroutine[Any, Any, None]]) -> None:
    """Run *main* on the fastest event loop there is, until it is told to stop."""
    last_resort = _last_resort()
    had_terminal = os.isatty(0)

    async def until_stopped() -> None:
        signals = Signals(asyncio.Event(), asyncio.Event())

        def stop() -> None:
            if not signals.stop.is_set():
                signals.stop.set()
                last_resort.start()

        def hang_up() -> None:
            # A terminal that was closed sends the same signal as an operator who wants a reload.
            if had_terminal and not os.isatty(0):
                stop()
            else:
                signals.reload.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        await main(signals)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_stopped())
    finally:
        logs.close()
    last_resort.cancel()


def _last_resort() -> threading.Timer:
    # A thread that a handler has left running would keep the process for as long as it likes.
    timer = threading.Timer(_END, _end)
    timer.daemon = True
    return timer


def _end() -> None:
    logs.close(_LAST_LINES)
    os._exit(0)


async def serve(
    config: Config,
    signals: Signals,
    *,
    read: Callable[[], Config],
    started: Callable[[Serving], Coroutine[Any, Any, None]],
) -> None:
    """
    Serve until told to stop; then finish what has begun.

    Args:
        read: reads the configuration anew, for a reload.
        started: told once everything listens.

    Raises:
        RouteTableError: the route table cannot be loaded.
        ListenError: a port cannot be had.
    """
    log = structlog.get_logger()
    async with AsyncExitStack() as stack:
        serving = await _open(config, signals.stop, stack)
        log.info(
            "server.started",
            version=__version__,
            addresses=list(serving.addresses),
            admin=base_url(config.admin.host, config.admin.port),
            issuers=[each.issuer for each in config.issuers],
        )
        async with (
            _beside(started(serving)),
            _beside(obey_reloads(serving.keyturn, config, signals.reload, read)),
        ):
            await signals.stop.wait()
            log.info("server.stopping")
    log.info("server.stopped")


async def _open(config: Config, stop: asyncio.Event, stack: AsyncExitStack) -> Serving:
    # What is entered last is left first: the API finishes its requests while all else still works.
    session = await stack.enter_async_context(open_session())
    if config.dev_issuer.enabled:
        await stack.enter_async_context(dev_issuer(config))
    keyturn = Keyturn(config, session)
    stack.push_async_callback(keyturn.close)
    admin = _private(operations_app(lambda: keyturn.keys, draining=stop.is_set))
    host, port = config.admin.host, config.admin.port
    await stack.enter_async_context(_listening(admin, host, port, "admin.port"))
    api = Runner(keyturn.api, shutdown_timeout=_FINISH_REQUESTS, log_requests=True)
    host, port = config.listen.host, config.listen.port
    await stack.enter_async_context(
        _listening(api, host, port, "listen.port", give_up=_GIVE_UP_REQUESTS)
    )
    return Serving(keyturn, tuple(base_url(host, port) for host, port, *_ in api.addresses))


async def serve_dev_issuer(config: Config, signals: Signals) -> None:
    """
    Serve the development issuer alone, until told to stop.

    Raises:
        ListenError: its port cannot be had.
    """
    async with dev_issuer(config):
        structlog.get_logger().info("dev_issuer.started", issuer=config.dev_issuer.name)
        await signals.stop.wait()
    structlog.get_logger().info("dev_issuer.stopped")


@asynccontextmanager
async def dev_issuer(config: Config) -> AsyncIterator[None]:
    """
    Run the development issuer.

    Raises:
        ListenError: its port cannot be had.
    """
    settings = config.dev_issuer
    issuer = await DevIssuer.create(settings, config.dev_audiences)
    async with _listening(_private(issuer.app()), settings.host, settings.port, "dev_issuer.port"):
        yield


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _listening(
    runner: web.AppRunner, host: str, port: int, setting: str, *, give_up: float = _GIVE_UP
) -> AsyncIterator[None]:
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=_BACKLOG)
        try:
            await site.start()
        except socket.gaierror as error:
            raise ListenError(f"cannot listen on {host}: {error.strerror}") from error
        except UnicodeError as error:
            raise ListenError(f"cannot listen on {host}: no host has such a name") from error
        except OSError as error:
            cause = os.strerror(error.errno) if error.errno else str(error)
            raise ListenError(f"cannot listen on {host}:{port}: {cause} ({setting})") from error
        yield
    finally:
        try:
            async with asyncio.timeout(give_up):
                await runner.cleanup()
        except TimeoutError:
            structlog.get_logger().warning("server.gave_up", address=f"{host}:{port}")


def _private(app: web.Application) -> Runner:
    return Runner(app, shutdown_timeout=_GIVE_UP / 2, log_requests=False)
