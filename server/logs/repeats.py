"""Warnings that say the same again and again: a few pass, and the others are counted and told."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

import structlog

from server.logs.rendering import Event
from server.throttle import Throttle

_BURST = 20
_INTERVAL = 10.0  # seconds
_MOST_KINDS = 256
# In characters, of a text that tells a kind from others.
_LONGEST = 200


class Kind(NamedTuple):
    """
    What is taken for the same.

    Attributes:
        of: an event, or the first line of a library's text before values are put in.
        level: in lower case.
        logger: of a library.
        cause: what exception it tells of, and where that was raised.
    """

    of: str
    level: str
    logger: str | None = None
    issuer: str | None = None
    worker: int | None = None
    cause: str | None = None


_OTHERS = Kind("others", "warning")
"""Stands for all that come when there are too many kinds to be told apart."""


class Repeats:
    """
    Lets 20 lines of a kind pass at once and then one each ten seconds, and counts the others.

    A structlog processor, the first; for what libraries log it is asked before.

    Args:
        tell: is told how many of a kind were held back, once it has gone quiet.
        now: gives seconds that only grow.
    """

    def __init__(
        self, tell: Callable[[Kind, int], None], *, now: Callable[[], float] = monotonic
    ) -> None:
        self._tell = tell
        self._now = now
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget counts and locks: what is to be done in a process that was forked off."""
        # Reentrant, because what is collected in the midst of it may log a warning.
        self._lock = threading.RLock()
        self._forget()

    def __call__(self, _logger: object, level: str, event: Event) -> Event:
        """
        Let *event* pass, with how many were held back before it.

        Raises:
            DropEvent: it is held back.
        """
        if level not in {"warning", "error"} or (kind := _kind_of(level, event)) is None:
            return event
        if not self.admits(kind):
            raise structlog.DropEvent
        if held_back := self.take_held_back(kind):
            event["lines_held_back"] = held_back
        return event

    def admits(self, kind: Kind) -> bool:
        """Tell whether one more of *kind* may pass; tell of those that have gone quiet."""
        kind = _cut(kind)
        now = self._now()
        with self._lock:
            told = []
            if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
                told += self._take_oldest(now)
            count = self._count_of(kind)
            count.seen_at = now
            told += self._take_quiet(now)
            admits = count.throttle.admits()
        self._tell_all(told)
        return admits

    def take_held_back(self, kind: Kind) -> int:
        """Give how many of *kind* did not pass since this was last asked."""
        with self._lock:
            return self._kinds.get(_cut(kind), self._others).throttle.take_held_back()

    def close(self) -> None:
        """Tell of all that were held back."""
        with self._lock:
            held_back = [(kind, each.throttle.take_held_back()) for kind, each in self._all()]
            self._forget()
        self._tell_all(held_back)

    def _forget(self) -> None:
        self._kinds: OrderedDict[Kind, _Count] = OrderedDict()
        self._others = _Count(self._now)
        self._looked_at = self._now()

    def _count_of(self, kind: Kind) -> "_Count":
        if kind not in self._kinds:
            if len(self._kinds) >= _MOST_KINDS:
                return self._others
            self._kinds[kind] = _Count(self._now)
        self._kinds.move_to_end(kind)
        return self._kinds[kind]

    def _take_oldest(self, now: float) -> list[tuple[Kind, int]]:
        """Forget the kind that has not been seen for the longest time, if that is long enough."""
        oldest, count = next(iter(self._kinds.items()))
        if now - count.seen_at < _INTERVAL:
            return []
        del self._kinds[oldest]
        return [(oldest, count.throttle.take_held_back())]

    def _take_quiet(self, now: float) -> list[tuple[Kind, int]]:
        if now - self._looked_at < _INTERVAL:
            return []
        self._looked_at = now
        return [
            (kind, count.throttle.take_held_back())
            for kind, count in self._all()
            if now - count.seen_at >= _INTERVAL
        ]

    def _all(self) -> list[tuple[Kind, "_Count"]]:
        return [*self._kinds.items(), (_OTHERS, self._others)]

    def _tell_all(self, held_back: list[tuple[Kind, int]]) -> None:
        for kind, lines in held_back:
            if lines:
                self._tell(kind, lines)


def cause_of(error: object) -> str | None:
    """Tell an exception from others: by what it is, and where it was raised."""
    if not isinstance(error, BaseException):
        return None
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    name = type(error).__name__
    if innermost is None:
        return name
    return f"{name} at {innermost.tb_frame.f_code.co_filename}:{innermost.tb_lineno}"


class _Count:
    def __init__(self, now: Callable[[], float]) -> None:
        self.throttle = Throttle(burst=_BURST, rate=1 / _INTERVAL, now=now)
        self.seen_at = now()


def _kind_of(level: str, event: Event) -> Kind | None:
    """Give the kind of a line of ours; none if it always passes."""
    name = str(event["event"])
    # A library's has been counted; what tells of held back lines is not held back itself.
    if "logger" in event or name == "request" or name.startswith("log."):
        return None
    if name == "server.error":
        return Kind(name, level, cause=cause_of(event.get("exc_info")))
    if level == "warning":
        issuer, worker = event.get("issuer"), event.get("worker")
        return Kind(
            name,
            level,
            issuer=issuer if isinstance(issuer, str) else None,
            worker=worker if isinstance(worker, int) else None,
        )
    return None


def _cut(kind: Kind) -> Kind:
    return kind if len(kind.of) <= _LONGEST else kind._replace(of=kind.of[:_LONGEST])
