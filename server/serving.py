"""Listening, serving, stopping."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
import uvloop

from server import __version__, logs
from server.app import Keyturn
from server.config import Config
from server.dev_issuer.endpoints import DevIssuer
from server.jwks.connection import open_session
from server.listening import OpenSites, listening, on_port, private, public
from server.metrics import Metrics
from server.open_files import allow_files_for
from server.reloading import obey_reloads, tell_reloaded
from server.settings import base_url
from server.stopping import Signals, StopSettings, end_within
from server.tracing import tracing
from server.vital_signs import READY, Changes
from server.web.listener import Runner
from server.web.metrics_page import render
from server.web.operations import Report, operations_app

_USUAL_STOP = StopSettings()


@dataclass(frozen=True, slots=True)
class Serving:
    """What is being served, and where."""

    keyturn: Keyturn
    addresses: tuple[str, ...]


def run(
    main: Callable[[Signals], Coroutine[Any, Any, None]],
    settings: StopSettings = _USUAL_STOP,
) -> None:
    """Run *main* on the fastest event loop there is, until it is told to stop."""
    signals = Signals(settings.end, end_within)
    had_terminal = os.isatty(0)

    def hang_up() -> None:
        # A terminal that was closed sends the same signal as an operator who wants a reload.
        if had_terminal and not os.isatty(0):
            signals.tell_to_stop()
        else:
            signals.reload.set()

    async def until_stopped() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signals.tell)
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        await main(signals)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(until_stopped())
    finally:
        logs.close()


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
    metrics = Metrics()
    changes = Changes(metrics)
    changes.starts.add()
    allow_files_for(config.listen.share(1))
    async with AsyncExitStack() as stack:
        serving, api = await _open(config, metrics, signals, stack)
        log.info(
            "server.started",
            version=__version__,
            addresses=list(serving.addresses),
            admin=base_url(config.admin.host, config.admin.port),
            issuers=[each.issuer for each in config.issuers],
        )
        reloads = obey_reloads(
            serving.keyturn,
            signals.reload,
            read,
            applied=_counted(changes, config),
            rejected=changes.rejected.add,
        )
        async with beside(started(serving)), beside(reloads):
            await signals.stop.wait()
        log.info("server.stopping", drain_delay=config.listen.drain_delay)
        api.drain()
        await signals.linger(config.listen.drain_delay)
    log.info("server.stopped")


def _counted(changes: Changes, config: Config) -> Callable[[Config], None]:
    def applied(fresh: Config) -> None:
        changes.applied.add()
        tell_reloaded(fresh, instead_of=config)

    return applied


async def _open(
    config: Config, metrics: Metrics, signals: Signals, stack: AsyncExitStack
) -> tuple[Serving, Runner]:
    # What is entered last is left first: the API finishes its requests while all else still works.
    traced = await stack.enter_async_context(tracing(os.environ))
    session = await stack.enter_async_context(open_session(traces=traced.fetches))
    if config.dev_issuer.enabled:
        await stack.enter_async_context(dev_issuer(config, dev_port(config), signals.at_once))
    keyturn = Keyturn(config, session, metrics)
    stack.push_async_callback(keyturn.close)
    api = public(keyturn.api, config.listen, workers=1, connect=traced.connect)
    admin = private(
        operations_app(
            lambda: keyturn.keys, draining=signals.stop.is_set, metrics=metrics_page(keyturn, api)
        )
    )
    host, port = config.admin.host, config.admin.port
    site = on_port(host, port, "admin.port")
    await stack.enter_async_context(
        listening(admin, site, base_url(host, port), at_once=signals.at_once)
    )
    host, port = config.listen.host, config.listen.port
    site = on_port(host, port, "listen.port")
    await stack.enter_async_context(
        listening(
            api, site, base_url(host, port), at_once=signals.at_once, give_up=config.listen.give_up
        )
    )
    addresses = tuple(base_url(host, port) for host, port, *_ in api.addresses)
    return Serving(keyturn, addresses), api


def metrics_page(keyturn: Keyturn, api: Runner) -> Callable[[Report], bytes]:
    """Make what writes the page of metrics of the only process there is."""

    def write(report: Report) -> bytes:
        keyturn.look_up_numbers(active=api.active_requests, connections=api.connections)
        return render(keyturn.metrics, now={READY: report["status"] == "ready"})

    return write


async def serve_dev_issuer(config: Config, signals: Signals) -> None:
    """
    Serve the development issuer alone, until told to stop.

    Raises:
        ListenError: its port cannot be had.
    """
    async with dev_issuer(config, dev_port(config), signals.at_once):
        structlog.get_logger().info("dev_issuer.started", issuer=config.dev_issuer.name)
        await signals.stop.wait()
    structlog.get_logger().info("dev_issuer.stopped")


def dev_port(config: Config) -> OpenSites:
    """Listen where the development issuer does."""
    return on_port(config.dev_issuer.host, config.dev_issuer.port, "dev_issuer.port")


@asynccontextmanager
async def dev_issuer(
    config: Config, open_sites: OpenSites, at_once: asyncio.Event
) -> AsyncIterator[None]:
    """
    Run the development issuer.

    Args:
        at_once: whether its end is to be waited for.

    Raises:
        ListenError: its port cannot be had.
    """
    settings = config.dev_issuer
    issuer = await DevIssuer.create(settings, config.dev_audiences)
    address = base_url(settings.host, settings.port)
    async with listening(private(issuer.app()), open_sites, address, at_once=at_once):
        yield


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do *work* meanwhile; what is left of it at the end is given up."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
