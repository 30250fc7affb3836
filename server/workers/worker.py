"""One worker: it serves what the one process serves where there is no supervisor."""

import asyncio
import os
import shutil
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, NoReturn

import structlog
from aiohttp import web
from aiohttp.worker import GunicornUVLoopWebWorker

from server import logs
from server.app import Keyturn
from server.config import Config
from server.jwks.connection import open_session
from server.listening import listening, public
from server.logs import LogSettings
from server.metrics import Metrics
from server.reloading import obey_reloads
from server.serving import Serving, beside
from server.stopping import Signals, end_within
from server.tracing import tracing
from server.web.acceptor import SharedSite, is_anothers
from server.web.listener import Runner
from server.workers.crew import GONE, SERVING, Crew, close
from server.workers.operating import Operators

TOLD_BY_SUPERVISOR = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1})
"""Stop, end at once, and reload."""

LOOK_AT_THE_BOARD = signal.SIGUSR1
"""Told to the supervisor."""

# A terminal or an operator may send these to the whole group; the supervisor passes them on.
_IGNORED = frozenset({signal.SIGINT, signal.SIGHUP, signal.SIGUSR2})
_HEARTBEAT = 1.0  # seconds
_FAILED_TO_START = 3


class Worker(GunicornUVLoopWebWorker):
    """
    A process that the supervisor has forked.

    Attributes:
        place: on the board.
        is_first: no other has been forked before.
    """

    crew: Crew
    config: Config
    place: int
    is_first: bool

    def load_wsgi(self) -> None:
        """There is nothing that gunicorn would have to load."""

    def init_signals(self) -> None:
        """Wait for the event loop: signals are blocked until then."""

    async def _run(self) -> None:
        # Called by aiohttp's worker; its own knows one listener and nothing of keys.
        self.configure_logs(self.config.logging)
        close(self.crew.ports.dev_issuer)
        told = self._hear_signals()
        log = structlog.get_logger()
        try:
            await _Work(self, told).do()
        except Exception:
            log.exception("worker.failed")
            self.exit_code = -1 if self.booted else _FAILED_TO_START
        finally:
            for number in TOLD_BY_SUPERVISOR:
                self.loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)

    def _hear_signals(self) -> Signals:
        told = Signals(self.config.listen.end_worker, end_within)
        # All may be told at once, and those who were once more by the supervisor.
        self.loop.add_signal_handler(signal.SIGTERM, told.tell_to_stop)
        self.loop.add_signal_handler(signal.SIGQUIT, told.tell_to_end)
        self.loop.add_signal_handler(signal.SIGUSR1, told.reload.set)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD_BY_SUPERVISOR)
        return told

    def configure_logs(self, settings: LogSettings) -> None:
        """Write lines that name this worker."""
        logs.configure(settings, worker=self.place)


class _Work:
    """What *worker* does until it is told to stop."""

    def __init__(self, worker: Worker, told: Signals) -> None:
        self._worker = worker
        self._told = told
        self._crew = worker.crew
        self._board = worker.crew.board
        self._place = worker.place
        self._reading = self._board.applied[self._place]

    async def do(self) -> None:
        config, told = self._worker.config, self._told
        async with AsyncExitStack() as stack:
            # As in serving: what is entered last is left first.
            traced = await stack.enter_async_context(tracing(os.environ))
            session = await stack.enter_async_context(open_session(traces=traced.fetches))
            keyturn = Keyturn(config, session, Metrics(self._crew.numbers, slot=self._place))
            stack.push_async_callback(keyturn.close)
            workers = len(self._board.places)
            api = public(keyturn.api, config.listen, workers=workers, connect=traced.connect)
            await stack.enter_async_context(beside(self._live(keyturn, api)))
            look_up = partial(self._look_up_numbers, keyturn, api)
            operators = Operators(self._crew, self._place, keyturn, look_up=look_up)
            await operators.listen(told, stack)
            reloads = obey_reloads(keyturn, told.reload, self._read, applied=self._applied)
            await stack.enter_async_context(beside(reloads))
            if not await self._unless_stopped(self._until_fit(keyturn, config.jwks.timeout)):
                return
            await self._serve(api, stack)
            look_up()
            structlog.get_logger().info("worker.started", pid=os.getpid())
            if self._worker.is_first:
                started = self._crew.started(Serving(keyturn, self._crew.addresses))
                await stack.enter_async_context(beside(started))
            await told.stop.wait()
            api.drain()
            if self._has_supervisor():
                await told.linger(config.listen.drain_delay)
            self._board.state[self._place] = GONE

    def _look_up_numbers(self, keyturn: Keyturn, api: Runner) -> None:
        # Until it serves, what a worker lacks harms nobody.
        if self._board.state[self._place] == SERVING:
            keyturn.look_up_numbers(active=api.active_requests, connections=api.connections)

    async def _serve(self, api: Runner, stack: AsyncExitStack) -> None:
        def sites(runner: web.AppRunner) -> list[web.BaseSite]:
            return [
                SharedSite(runner, each, leave=self._is_anothers, tell=self._tell)
                for each in self._crew.ports.api
            ]

        address = ", ".join(self._crew.addresses)
        await stack.enter_async_context(beside(self._count(api)))
        at_once, give_up = self._told.at_once, self._worker.config.listen.give_up
        await stack.enter_async_context(
            listening(api, sites, address, at_once=at_once, give_up=give_up)
        )
        self._board.pids[self._place] = os.getpid()
        self._board.state[self._place] = SERVING
        self._worker.booted = True
        self._wake_supervisor()

    def _read(self) -> Config:
        self._reading = self._board.wanted[0]
        return self._crew.read()

    def _applied(self, fresh: Config) -> None:
        self._worker.configure_logs(fresh.logging)
        self._board.applied[self._place] = self._reading
        self._wake_supervisor()

    def _wake_supervisor(self) -> None:
        if self._has_supervisor():
            os.kill(self._worker.ppid, LOOK_AT_THE_BOARD)

    def _has_supervisor(self) -> bool:
        return bool(os.getppid() == self._worker.ppid)

    async def _live(self, keyturn: Keyturn, api: Runner) -> NoReturn:
        """Tell once a second that this worker lives; stop when nobody is there to see it."""
        while True:
            self._look_up_numbers(keyturn, api)
            self._board.usable[self._place] = _usable(keyturn)
            self._board.beat(self._place)
            if not self._has_supervisor():
                shutil.rmtree(self._crew.directory, ignore_errors=True)
                self._told.tell_to_stop()
            await asyncio.sleep(_HEARTBEAT)

    async def _count(self, api: Runner) -> NoReturn:
        """Tell how many clients have left: those that come are counted when they do."""
        while True:
            self._tell(api.connections)
            await asyncio.sleep(_HEARTBEAT)

    async def _until_fit(self, keyturn: Keyturn, timeout: float) -> None:
        """Wait until this worker can judge what its siblings can."""
        # Discovery takes one timeout at most, and the keys another.
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * timeout):
                await keyturn.until_tried()
        while _usable(keyturn) < self._best_of_siblings():  # noqa: ASYNC110 (other processes)
            await asyncio.sleep(_HEARTBEAT / 10)

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        doing = asyncio.create_task(work)
        stopped = asyncio.create_task(self._told.stop.wait())
        await asyncio.wait([doing, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait([doing])
            return False
        await doing
        return not self._told.stop.is_set()

    def _best_of_siblings(self) -> float:
        others = self._board.serving_beside(self._place)
        return max((self._board.usable[each] for each in others), default=0)

    def _is_anothers(self, mine: int) -> bool:
        others = self._board.serving_beside(self._place)
        return is_anothers(mine, (self._board.connections[each] for each in others))

    def _tell(self, connections: int) -> None:
        self._board.connections[self._place] = connections


def _usable(keyturn: Keyturn) -> int:
    return sum(each.is_usable for each in keyturn.keys)
