"""Below the application: what is listened with, and for whom there is room."""

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from server.metrics import Metrics
from server.throttle import Throttle
from server.web.answering import SERVER_NAME, SIGN
from server.web.client_address import Proxies, TrustedProxies
from server.web.connection import Connection, Handle
from server.web.door import at_the_door, last, tolerant
from server.web.limits import USUAL_LIMITS, Limits, reserve_beside
from server.web.measurement import MEASUREMENT, Measurement
from server.web.observation import RequestLog
from server.web.refusal import MAX_HEADER_SIZE

# In seconds.
_LINGERING = 10.0
_TO_BE_CUT_OFF = 0.1

Connect = Callable[..., Connection]
"""Makes the connection of a client that has come."""


async def _name_no_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER_NAME


class _Server(web.Server):
    """
    Makes the connections, and turns away those for which there is no room.

    Args:
        connect: makes them.
        handle: answers requests.
        room: how many connections there may be at once.
        refused: counts the others.
    """

    def __init__(
        self,
        connect: Connect,
        handle: Handle,
        *,
        room: float,
        refused: Callable[[], None],
        **settings: Any,
    ) -> None:
        super().__init__(handle, **settings)
        self._connect = connect
        self._room, self._refused = room, refused
        # So many others are heard before they are told; more would be a burden.
        self._reserve = reserve_beside(room)
        self._turned_away: set[web.RequestHandler] = set()
        self._hurried = settings["limits"].hurried()
        self._patience = settings["limits"].idle_timeout
        # Of connections that wait for their client to read: what for, and how many bytes.
        self._unread: dict[web.RequestHandler, tuple[object, int]] = {}
        self._look_again = self._loop.call_later(self._patience, self._cut_off_the_deaf)

    def __call__(self) -> web.RequestHandler:
        return self._connect(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take a new connection in, or have it turned away."""
        if len(self._connections) < self._room or not isinstance(handler, Connection):
            super().connection_made(handler, transport)
            return
        self._refused()
        if len(self._turned_away) < self._reserve:
            self._turned_away.add(handler)
            handler.turn_away(self._hurried)
        else:
            # When aiohttp has begun with it: it would miss what has ended already.
            self._loop.call_soon(handler.turn_away_unheard)

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Forget a connection that has ended."""
        self._turned_away.discard(handler)
        super().connection_lost(handler, exc)

    def drain(self) -> None:
        """Have each answer from now on be the last of its connection."""
        self.request_factory = last(self.request_factory)
        for each in self._connections:
            each._request_factory = self.request_factory  # noqa: SLF001 (each has its own)
            request = each._current_request  # noqa: SLF001 (the same)
            if request is not None:
                request._message = request._message._replace(should_close=True)  # noqa: SLF001
                request._cache.pop("keep_alive", None)  # noqa: SLF001 (it may be known already)

    def pre_shutdown(self) -> None:
        """Let go whoever is idle, or was turned away."""
        for each in list(self._turned_away):
            each.force_close()
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:
        """End all connections."""
        self._look_again.cancel()
        await super().shutdown(timeout)

    def _cut_off_the_deaf(self) -> None:
        # Who reads nothing of an answer would keep his connection, also one that is closed, for as
        # long as he likes.  Looked at now and then, so that those who read cost nothing.
        before, self._unread = self._unread, {}
        for each, transport in list(self._connections.items()):
            # Meanwhile nothing more is written.
            waits = transport.is_closing() or each._drain_waiter  # noqa: SLF001 (nothing else tells)
            left = transport.get_write_buffer_size()
            if not waits or not left:
                continue
            waited, left_before = before.get(each, (None, 0))
            if waits is waited and left >= left_before:
                transport.abort()
            else:
                self._unread[each] = waits, left
        self._look_again = self._loop.call_later(self._patience, self._cut_off_the_deaf)


def _count_nothing() -> None: ...


class Runner(web.AppRunner):
    """
    Runs an application with our connections and our limits.

    Args:
        shutdown_timeout: how long requests that have begun may go on, in seconds.
        log_requests: whether each leaves its line in the log.
        limits: of what clients may take.
        room: how many connections there may be at once; others are turned away.
        proxies: networks of those who are believed where a request came from.
        connect: makes the connections.
    """

    def __init__(  # noqa: PLR0913 (each is told apart by its name)
        self,
        app: web.Application,
        *,
        shutdown_timeout: float,
        log_requests: bool,
        limits: Limits = USUAL_LIMITS,
        room: float = math.inf,
        proxies: TrustedProxies = (),
        connect: Connect = Connection,
    ) -> None:
        super().__init__(
            app, shutdown_timeout=shutdown_timeout, keepalive_timeout=limits.idle_timeout
        )
        self._connect = connect
        signed = SIGN in app and len(app.on_response_prepare) == 1
        if SIGN not in app:
            app.on_response_prepare.append(_name_no_version)
        self._connection_settings: dict[str, Any] = {
            "limits": limits,
            "sign": app[SIGN] if signed else None,
            "keepalive_timeout": limits.idle_timeout,
            # For what comes of a body after its request has been answered.
            "lingering_time": min(_LINGERING, limits.body_timeout),
            "max_field_size": MAX_HEADER_SIZE,
            # A stranger's body is not unpacked: two megabytes of it may be two gigabytes.
            "auto_decompress": False,
        }
        self._room, self._refused = room, _count_nothing
        self._unreadable = Throttle(burst=100, rate=10)
        if log_requests:
            measurement = app.get(MEASUREMENT) or Measurement(Metrics())
            self._refused = measurement.refused.add
            self._connection_settings["access_log_class"] = partial(
                RequestLog,
                unreadable=self._unreadable,
                measurement=measurement,
                proxies=Proxies(proxies) if proxies else None,
            )
        else:
            self._connection_settings["access_log"] = None

    @property
    def connections(self) -> int:
        """Count the connections that were not turned away."""
        return 0 if self.server is None else len(self.server.connections)

    @property
    def active_requests(self) -> int:
        """Count the requests that are being answered."""
        connections = [] if self.server is None else self.server.connections
        return sum(isinstance(each, Connection) and each.is_answering for each in connections)

    def drain(self) -> None:
        """Tell clients to leave, each with its next answer."""
        if isinstance(self.server, _Server):
            self.server.drain()

    async def cleanup(self) -> None:
        """End it, and tell of the lines that no other has told of."""
        try:
            await super().cleanup()
        finally:
            if held_back := self._unreadable.take_held_back():
                structlog.get_logger().warning(
                    "log.repeated", of="request", lines_held_back=held_back
                )

    async def cut_off(self) -> None:
        """Answer no more; each request that has begun leaves its line."""
        connections = [] if self.server is None else self.server.connections
        tasks = [each._task_handler for each in connections]  # noqa: SLF001 (nothing else ends it)
        cut = [each for each in tasks if each is not None and each.cancel()]
        if cut:
            await asyncio.wait(cut, timeout=_TO_BE_CUT_OFF)

    async def _make_server(self) -> web.Server:
        # aiohttp has no door for another kind of connection; this is the one place that goes in.
        server = await super()._make_server()
        return _Server(
            self._connect,
            at_the_door(server.request_handler),
            room=self._room,
            refused=self._refused,
            request_factory=tolerant(server.request_factory),
            **self._connection_settings,
        )
