"""Gunicorn's arbiter: it forks workers, sees to it that they work, and ends them."""

import os
import queue
import signal
import time
from contextlib import suppress
from typing import Any

import structlog
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from server import __version__
from server.config import Config
from server.metrics import Metrics
from server.reloading import PINNED, tell_rejected, tell_reloaded
from server.settings import base_url
from server.vital_signs import Changes
from server.workers.crew import GONE, SERVING, Crew, close
from server.workers.gunicorn_settings import Gunicorn
from server.workers.issuer_process import fork_dev_issuer
from server.workers.worker import LOOK_AT_THE_BOARD, TOLD_BY_SUPERVISOR, Worker

# In seconds.
_AT_ONCE = 2.0
_KILLED = 1.0
_TURN = 0.1
_ISSUER_GRACE = 0.5
_SHORT_LIFE = 10.0
_LONGEST_WAIT = 30.0
_LONGEST_TURN = 5.0

_TWICE = 2  # is to end at once


def wait_before_next(short_lives: int) -> float:
    """Give the seconds to wait after so many workers at one place have died young."""
    return min(2.0 ** (short_lives - 1), _LONGEST_WAIT) if short_lives > 1 else 0.0


class Supervisor(Arbiter):
    """
    Keeps a worker at each of the board's places.

    Args:
        hung_after: seconds without a heartbeat.
    """

    SIGNALS = (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM, LOOK_AT_THE_BOARD)

    def __init__(self, config: Config, crew: Crew, *, hung_after: float) -> None:
        super().__init__(Gunicorn(self._prepare))
        self.WORKERS: dict[int, Worker] = {}
        self.LISTENERS = list(crew.ports.api)
        self._config = self._first = self._reloading = config
        self._crew = crew
        self._board = crew.board
        # Behind the workers there is a slot for who keeps them.
        self._changes = Changes(Metrics(crew.numbers, slot=len(crew.board.places)))
        self._hung_after = hung_after
        self._had_terminal = os.isatty(0)
        self._log = structlog.get_logger()
        self._place = 0
        self._told = 0.0
        self._born = dict.fromkeys(self._board.places, 0.0)
        self._short_lives = dict.fromkeys(self._board.places, 0)
        self._dev_issuer = 0
        self._stops = 0
        self._is_stopping = self._has_served = self._has_started = self._is_to_reload = False
        self._last_turn = time.monotonic()

    def init_signals(self) -> None:
        """Hear signals from now on."""
        super().init_signals()
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # gunicorn's would start another supervisor

    def signal(self, sig: int, frame: object) -> None:
        """Take note of a signal; everyone is to know at once if it says stop."""
        if sig == signal.SIGHUP and self._is_to_reload:
            return  # whoever is told to stop waits for no more than one
        self._is_to_reload |= sig == signal.SIGHUP
        if sig not in {signal.SIGHUP, LOOK_AT_THE_BOARD}:
            self._board.drain()
            self._stops += _TWICE if sig == signal.SIGQUIT else 1
        super().signal(sig, frame)

    def handle_hup(self) -> None:
        """Read the configuration anew and pass it on, unless it was the terminal that went."""
        self._is_to_reload = False
        if self._had_terminal and not os.isatty(0):
            self._stops += 1
            self.handle_term()
        try:
            fresh = self._crew.read()
        except Exception as error:  # noqa: BLE001 (told)
            self._changes.rejected.add()
            tell_rejected(error)
        else:
            # Workers to come have it from here; what cannot change is as their siblings have it.
            pinned = {name: getattr(self._config, name) for name in PINNED}
            self._config = fresh.model_copy(update=pinned)
            self._reloading = fresh
            self._board.wanted[0] += 1
            self.kill_workers(signal.SIGUSR1)

    def handle_usr1(self) -> None:
        """Look at the board, as after every signal."""

    def handle_int(self) -> None:
        """Stop as with SIGTERM."""
        self.handle_term()

    handle_quit = handle_int  # which has been counted as the second

    def manage_workers(self) -> None:
        """Fork whoever is missing, unless his predecessors died young."""
        if self._crew.ports.dev_issuer and not self._dev_issuer:
            self._dev_issuer = fork_dev_issuer(self._config, self._crew.ports)
        taken = {each.place for each in self.WORKERS.values()}
        for place in self._board.places:
            wait = wait_before_next(self._short_lives[place])
            if place not in taken and time.monotonic() - self._born[place] >= wait:
                self._place = place
                self.spawn_worker()

        self._tell_what_all_have_done()

    def _tell_what_all_have_done(self) -> None:
        if not self._has_started and set(self._board.state) == {SERVING}:
            self._has_started = True
            self._log.info(
                "server.started",
                version=__version__,
                addresses=list(self._crew.addresses),
                admin=base_url(self._config.admin.host, self._config.admin.port),
                issuers=[each.issuer for each in self._config.issuers],
                workers=len(self._board.places),
            )
        if self._told != self._board.wanted[0] and set(self._board.applied) == {
            self._board.wanted[0]
        }:
            self._told = self._board.wanted[0]
            self._changes.applied.add()
            tell_reloaded(self._reloading, instead_of=self._first, threaded=False)

    def spawn_worker(self) -> Any:
        """Fork a worker, that is told nothing before it can hear."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD_BY_SUPERVISOR)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _prepare(self, _arbiter: Arbiter, worker: Worker) -> None:
        place = self._place
        worker.crew, worker.config, worker.place = self._crew, self._config, place
        worker.is_first = worker.age == 1
        self._born[place] = time.monotonic()
        self._changes.starts.add()
        self._board.beat(place)
        self._board.applied[place] = self._board.wanted[0]

    def murder_workers(self) -> None:
        """End the workers that hang."""
        now = time.monotonic()
        if now - self._last_turn > _LONGEST_TURN:
            # We were stopped ourselves, and they probably with us.
            for place in self._board.places:
                self._board.beat(place)
        self._last_turn = now
        for pid, worker in list(self.WORKERS.items()):
            silence = self._board.silence(worker.place)
            if silence > self._hung_after:
                self._log.error(
                    "worker.hung", worker=worker.place, pid=pid, silent_seconds=round(silence, 1)
                )
                self.kill_worker(pid, signal.SIGKILL)

    def reap_workers(self) -> None:
        """Take note of who has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._dev_issuer:
                self._dev_issuer = 0
            elif (worker := self.WORKERS.pop(pid, None)) is not None:
                worker.tmp.close()
                self._bury(worker, pid, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: Worker, pid: int, status: int) -> None:
        is_expected = self._is_stopping and status == 0
        report = self._log.debug if is_expected else self._log.warning
        cause = {"status": status} if status >= 0 else {"signal": signal.Signals(-status).name}
        report("worker.exited", worker=worker.place, pid=pid, **cause)
        place = worker.place
        has_served = self._board.state[place] in {SERVING, GONE}
        self._has_served = self._has_served or has_served
        if self._board.state[place] == SERVING:
            self._board.state[place] = GONE
        self._board.connections[place] = self._board.pids[place] = 0
        self._crew.numbers.clear_gauges(place)
        is_young = time.monotonic() - self._born[place] < _SHORT_LIFE
        self._short_lives[place] = self._short_lives[place] + 1 if is_young else 0
        if status == self.WORKER_BOOT_ERROR and not (self._has_served or self._is_stopping):
            raise HaltServer("no worker can start", 1)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 (gunicorn's signature)
        """End all workers; by default they finish what has begun, unless that is asked twice."""
        listen = self._config.listen
        self._is_stopping = True
        self._board.drain()
        self._log.info("server.stopping", drain_delay=listen.drain_delay)
        close(self.LISTENERS)
        if graceful:
            self.kill_workers(signal.SIGTERM)
            self._await_workers(listen.wait_for_workers, unless_told=True)
        if self._stops >= _TWICE:
            self.kill_workers(signal.SIGQUIT)
            self._await_workers(_AT_ONCE)
        self.kill_workers(signal.SIGKILL)  # whoever hangs
        self._await_workers(_KILLED)
        self._stop_dev_issuer()
        self._log.info("server.stopped")

    def _await_workers(self, seconds: float, *, unless_told: bool = False) -> None:
        # Nobody is replaced any more; who hangs is killed as ever.
        end = time.monotonic() + seconds
        while self.WORKERS and time.monotonic() < end:
            if unless_told and self._stops >= _TWICE:
                return
            with suppress(queue.Empty):
                self.SIG_QUEUE.get(timeout=_TURN)  # whoever ends wakes us
            self.reap_workers()
            self.murder_workers()

    def _stop_dev_issuer(self) -> None:
        if not self._dev_issuer:
            return
        os.kill(self._dev_issuer, signal.SIGTERM)
        end = time.monotonic() + _ISSUER_GRACE
        while self._dev_issuer and time.monotonic() < end:
            time.sleep(0.02)
            self.reap_workers()
        if self._dev_issuer:
            os.kill(self._dev_issuer, signal.SIGKILL)
