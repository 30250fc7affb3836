"""
The last good keys of an issuer, shared between processes.

What is shared is public: the keys that are usable, their public members alone, and the headers
that say how long they are good.  What others have shared passes the same checks as what an issuer
publishes, for a store may lie.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from server.jwks.document import MAX_SIZE
from server.jwks.published import PublishedKeySet
from server.jwks.store import Store
from server.oauth.jose import parse_object
from server.oauth.keys import parse_jwks

# Clocks of different machines differ a little; what is further in the future is a lie.
_CLOCK_SKEW = 60.0
_CLAIM = 2


class SharedKeys:
    """
    The keys of *issuer* in *store*.

    Args:
        url: where they are published; nothing else is believed.  Wherever, if absent.
        clock: gives the time in seconds since the epoch, which machines have in common.
    """

    def __init__(
        self,
        issuer: str,
        store: Store,
        *,
        url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._url = url
        self._clock = clock
        self._lie: str | None = None

    async def get(self, *, now: float) -> PublishedKeySet | None:
        """
        Give what was shared last; nothing if it is not to be had or not to be believed.

        Args:
            now: on the monotonic clock, in seconds.
        """
        record = await self._store.get(self._issuer, issuer=self._issuer)
        if record is None:
            return None
        try:
            shared = self._read(record, now=now)
        except (ValueError, RecursionError) as error:
            self._disbelieve(str(error) or type(error).__name__)
            return None
        self._lie = None
        return shared

    def put(self, published: PublishedKeySet, *, now: float, keep_for: float) -> None:
        """Share *published* for *keep_for* seconds."""
        record = {
            "issuer": self._issuer,
            "url": published.url,
            "headers": dict(published.headers),
            "asked_at": self._clock() - (now - published.asked_at),
            "document": published.keys.document,
        }
        self._store.put(
            self._issuer,
            json.dumps(record),
            seconds=max(1, math.ceil(keep_for)),
            issuer=self._issuer,
        )

    async def claim(self) -> bool:
        """Tell whether it is for this process to ask the issuer, and not for another now."""
        return await self._store.claim(self._claim, seconds=_CLAIM, issuer=self._issuer)

    def release(self) -> None:
        """Let others ask the issuer."""
        self._store.release(self._claim, issuer=self._issuer)

    @property
    def _claim(self) -> str:
        return f"{self._issuer}#claim"  # no issuer has a fragment

    def _read(self, record: str, *, now: float) -> PublishedKeySet:
        raw = record.encode()
        if len(raw) > 2 * MAX_SIZE:
            raise ValueError("it is too large")
        match parse_object(raw):
            case {
                "issuer": self._issuer,
                "url": str(url),
                "headers": dict(headers),
                "asked_at": float(asked_at) | int(asked_at),
                "document": dict(document),
            }:
                if self._url not in {None, url}:
                    raise ValueError("it was published elsewhere")
                age = self._clock() - asked_at
                if age < -_CLOCK_SKEW:
                    raise ValueError("it is from the future")
                keys = parse_jwks(document)
                if not keys.keys:
                    raise ValueError("it has no usable key")
                return PublishedKeySet(keys, url, _texts(headers), now - max(0.0, age))
        raise ValueError("it is no record of this issuer")

    def _disbelieve(self, cause: str) -> None:
        if cause != self._lie:
            self._lie = cause
            structlog.get_logger().warning(
                "jwks.store_disbelieved", issuer=self._issuer, cause=cause
            )


def _texts(headers: Mapping[str, Any]) -> dict[str, str]:
    # They go into requests: nothing but what a header may hold.
    return {
        name: value
        for name, value in headers.items()
        if isinstance(value, str) and value.isascii() and value.isprintable()
    }
