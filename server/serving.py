"""Listening, serving, stopping."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog
from aiohttp import web

from server import __version__
from server.app import Parts, compose, load_routes
from server.config import Config
from server.dev_issuer.endpoints import DevIssuer
from server.jwks.client import open_session
from server.web.listener import Runner
from server.web.operations import operations_app

# In seconds; together less than the ten that a supervisor grants.
_FINISH_REQUESTS = 6.0
_GIVE_UP_REQUESTS = 7.0
_GIVE_UP = 1.0
_BACKLOG = 1024


class ListenError(Exception):
    """A port cannot be had."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run *main* on the fastest event loop there is."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main)


async def serve(config: Config, *, started: Callable[[Parts], Awaitable[None]]) -> None:
    """
    Serve until SIGINT or SIGTERM; then finish what has begun.

    Args:
        started: told once everything listens.

    Raises:
        ConfigError: the route table cannot be loaded.
        ListenError: a port cannot be had.
    """
    rows = load_routes(config.routes)
    stop = _stop_signal()
    log = structlog.get_logger()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        if config.dev_issuer.enabled:
            await stack.enter_async_context(dev_issuer(config))
        parts = compose(config, rows, session)
        await stack.enter_async_context(_kept_current(parts))
        admin = operations_app(parts.keys, draining=stop.is_set)
        await stack.enter_async_context(
            _listening(_plain(admin), config.admin.host, config.admin.port, "admin.port")
        )
        runner = Runner(parts.api, shutdown_timeout=_FINISH_REQUESTS)
        await stack.enter_async_context(
            _listening(
                runner,
                config.listen.host,
                config.listen.port,
                "listen.port",
                give_up=_GIVE_UP_REQUESTS,
            )
        )
        log.info(
            "server.started",
            version=__version__,
            addresses=[f"http://{host}:{port}" for host, port, *_ in runner.addresses],
            issuers=[each.issuer for each in config.issuers],
        )
        telling = asyncio.ensure_future(started(parts))
        await stop.wait()
        log.info("server.stopping")
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
    log.info("server.stopped")


async def serve_dev_issuer(config: Config) -> None:
    """
    Serve the development issuer alone, until SIGINT or SIGTERM.

    Raises:
        ListenError: its port cannot be had.
    """
    stop = _stop_signal()
    async with dev_issuer(config):
        structlog.get_logger().info("dev_issuer.started", issuer=config.dev_issuer.name)
        await stop.wait()


@asynccontextmanager
async def dev_issuer(config: Config) -> AsyncIterator[None]:
    """
    Run the development issuer.

    Raises:
        ListenError: its port cannot be had.
    """
    settings = config.dev_issuer
    issuer = await DevIssuer.create(settings, config.dev_audiences)
    async with _listening(_plain(issuer.app()), settings.host, settings.port, "dev_issuer.port"):
        yield


@asynccontextmanager
async def _kept_current(parts: Parts) -> AsyncIterator[None]:
    running = [asyncio.create_task(each.run()) for each in parts.keys]
    try:
        yield
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def _listening(
    runner: web.AppRunner, host: str, port: int, setting: str, *, give_up: float = _GIVE_UP
) -> AsyncIterator[None]:
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=_BACKLOG)
        try:
            await site.start()
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


def _plain(app: web.Application) -> web.AppRunner:
    return web.AppRunner(app, access_log=None, shutdown_timeout=0.5, keepalive_timeout=75.0)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 (not on every platform)

    return uvloop.new_event_loop
