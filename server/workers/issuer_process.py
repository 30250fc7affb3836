"""The development issuer in a process of its own, for however many workers."""

import asyncio
import os
import sys

from aiohttp import web

from server import logs
from server.config import Config
from server.serving import beside, dev_issuer, run
from server.stopping import Signals
from server.web.acceptor import SharedSite
from server.workers.crew import Ports, close

_LOOK = 1.0  # seconds


def fork_dev_issuer(config: Config, ports: Ports) -> int:
    """Run the development issuer on the port that is had for it; gives its process ID."""
    supervisor = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    close(ports.api)
    close(ports.admin)
    logs.configure(config.logging)
    run(lambda signals: _serve(config, ports, signals, supervisor))
    sys.exit(0)


async def _serve(config: Config, ports: Ports, signals: Signals, supervisor: int) -> None:
    def sites(runner: web.AppRunner) -> list[web.BaseSite]:
        return [SharedSite(runner, each) for each in ports.dev_issuer]

    async with (
        dev_issuer(config, sites, signals.at_once),
        beside(_outlive_nobody(signals, supervisor)),
    ):
        await signals.stop.wait()


async def _outlive_nobody(signals: Signals, supervisor: int) -> None:
    while os.getppid() == supervisor:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(_LOOK)
    signals.tell_to_stop()
