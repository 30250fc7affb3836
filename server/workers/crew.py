"""What the supervisor and the workers have in common: made before the first fork."""

import mmap
import os
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.config import Config
from server.serving import Serving
from server.shared_numbers import SharedMemory

NEW, SERVING, GONE = 0, 1, 2
"""A place that no worker has served from, one whose worker serves, one that awaits the next."""

_ALIVE = 3.0  # seconds since the last heartbeat; there is one each second


class Board:
    """
    Memory that all see, with a place for each worker; a replacement takes that of the dead.

    Attributes:
        places: of the workers, from 0.
        state: NEW, SERVING or GONE.
        usable: how many issuers' keys the worker has that can be used.
        connections: how many clients are connected to it.
        pids: its process ID; 0 while there is none.
        beats: when it last said that it lives, on the monotonic clock, which all share.
        applied: which configuration it judges by: the number of reloads before.
        wanted: the same of the configuration that was accepted last; in its first cell.
    """

    def __init__(self, places: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.places = range(places)
        # One double each: what is written at once is read at once.
        cells = memoryview(mmap.mmap(-1, 8 * (2 + 6 * places))).cast("d")
        self._draining, self.wanted = cells[:1], cells[1:2]
        self.state, self.usable, self.connections, self.pids, self.beats, self.applied = (
            cells[2 + places * row : 2 + places * (row + 1)] for row in range(6)
        )

    @property
    def is_draining(self) -> bool:
        """Tell whether all have been told to stop."""
        return bool(self._draining[0])

    def drain(self) -> None:
        """Let all know that they have been told to stop."""
        self._draining[0] = 1

    def beat(self, place: int) -> None:
        """Say that the worker at *place* lives."""
        self.beats[place] = self._now()

    def silence(self, place: int) -> float:
        """Tell for how many seconds the worker at *place* has said nothing."""
        return self._now() - self.beats[place]

    def is_alive(self, place: int) -> bool:
        """Tell whether the worker at *place* has not fallen silent."""
        return self.silence(place) < _ALIVE

    def serving_beside(self, place: int) -> list[int]:
        """Name the others that serve and are alive."""
        return [
            each
            for each in self.places
            if each != place and self.state[each] == SERVING and self.is_alive(each)
        ]


@dataclass(frozen=True, slots=True)
class Ports:
    """Listening sockets, each inherited by those who answer on it."""

    api: list[socket.socket]
    admin: list[socket.socket]
    dev_issuer: list[socket.socket]


@dataclass(frozen=True, slots=True)
class Crew:
    """
    What the supervisor and the workers have in common.

    Attributes:
        numbers: that all workers count, each at its place, and behind them the supervisor.
        directory: of the sockets on which workers answer each other; nobody else may enter.
        read: reads the configuration anew; raises ConfigError.
        started: told once, in the first worker, that everything listens.
    """

    board: Board
    numbers: SharedMemory
    ports: Ports
    directory: Path
    addresses: tuple[str, ...]
    read: Callable[[], Config]
    started: Callable[[Serving], Coroutine[Any, Any, None]]

    def socket_of(self, place: int) -> Path:
        """Name the socket on which the worker at *place* answers its siblings."""
        return self.directory / str(place)


def close(sockets: Iterable[socket.socket]) -> None:
    """Leave *sockets* to other processes."""
    for each in sockets:
        each.close()


def how_many(workers: int) -> int:
    """Give the number of *workers*; 0 is one for each core that we may use."""
    if workers:
        return workers
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
