"""Taking connections from a listening socket that several processes share, each its part."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable

import structlog
from aiohttp import web

# In seconds.  A sibling that has fewer connections is awake by then, or it is busy.
_PAUSE = 0.001
_MOST_PAUSES = 3
_OUT_OF_RESOURCES = 1.0
_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Leave = Callable[[int], bool]
"""Tells, of a process with so many connections, whether the next is rather another's."""


def is_anothers(mine: float, others: Iterable[float]) -> bool:
    """Tell whether a process with *mine* connections leaves the next to one of the *others*."""
    return mine > min(others, default=mine)


def never(_mine: int) -> bool:
    """Leave no connection to another."""
    return False


class SharedSite(web.BaseSite):
    """
    Takes one connection at a time: whoever takes all that wait leaves none to the others.

    Args:
        listener: is closed when the site stops.
        leave: whether the next connection is rather another's, who then has a moment to take it.
        tell: is told how many connections there are when that has changed; when one has ended it
            may be told later.
    """

    __slots__ = ("_coming", "_leave", "_listener", "_loop", "_patience", "_pause", "_tell")
    _pause: asyncio.TimerHandle | None

    def __init__(
        self,
        runner: web.BaseRunner,
        listener: socket.socket,
        *,
        leave: Leave = never,
        tell: Callable[[int], None] = lambda _mine: None,
    ) -> None:
        super().__init__(runner)
        self._listener = listener
        self._leave = leave
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[None]] = set()
        self._patience = _MOST_PAUSES
        self._pause = None

    @property
    def name(self) -> str:
        """Where it listens."""
        return str(self._listener.getsockname())

    @property
    def connections(self) -> int:
        """How many there are, with those on their way."""
        server = self._runner.server
        return len(self._coming) + (0 if server is None else len(server.connections))

    async def start(self) -> None:
        """Take connections from now on."""
        await super().start()
        self._loop.add_reader(self._listener.fileno(), self._take_or_leave)

    async def stop(self) -> None:
        """Take no more; those that have been taken get to the server."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        await asyncio.gather(*self._coming, return_exceptions=True)
        await super().stop()

    def _take_or_leave(self) -> None:
        # Never for long: the sibling that has fewer may hang.
        if self._patience and self._leave(self.connections):
            self._patience -= 1
            self._rest(_PAUSE)
        else:
            self._patience = _MOST_PAUSES
            self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another was faster, or the client has gone
        except OSError as error:
            if error.errno not in _RESOURCES:
                raise
            structlog.get_logger().error("server.cannot_accept", cause=error.strerror)
            self._rest(_OUT_OF_RESOURCES)
            return
        connection.settimeout(0)
        task = self._loop.create_task(self._bring(connection))
        self._coming.add(task)
        task.add_done_callback(self._arrived)
        self._tell(self.connections)

    async def _bring(self, connection: socket.socket) -> None:
        server = self._runner.server
        if server is not None:
            try:
                await self._loop.connect_accepted_socket(server, connection)
            except OSError:
                connection.close()  # the client has gone meanwhile

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._coming.discard(task)
        self._tell(self.connections)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener.fileno(), self._take_or_leave)
