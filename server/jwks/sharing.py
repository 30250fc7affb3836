"""
The last good keys of an issuer, shared between processes.

What is shared is public: the keys that are usable, their public members alone, and what was said
of how long they are good.  What others have shared passes the same checks as what an issuer
publishes, for a store may lie.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from server.jwks.document import MAX_SIZE
from server.jwks.published import FRESHNESS_HEADERS, PublishedKeySet
from server.jwks.store import Store
from server.oauth.jose import StrictError, parse_object
from server.oauth.jwk_set import parse_jwks

# In seconds.  Clocks of different machines differ a little; what is further ahead is a lie.
_CLOCK_SKEW = 60.0

_LARGE = 16 * 1024  # characters


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
        self._told: str | None = None

    async def get(self, *, now: float) -> PublishedKeySet | None:
        """
        Give what another process shared last; nothing if there is nothing to be believed.

        Args:
            now: on the monotonic clock, in seconds.
        """
        record = await self._store.get(self._issuer, issuer=self._issuer)
        if record is None:
            return None
        try:
            # A large one is not read on the event loop: it may be made to take its time.
            read = partial(self._read, record, now=now)
            shared = read() if len(record) < _LARGE else await asyncio.to_thread(read)
        except StrictError as error:
            self._disbelieve(f"it {error}")
            return None
        except ValueError as error:
            self._disbelieve(str(error))
            return None
        self._told = None
        return shared

    def put(self, published: PublishedKeySet, *, now: float, keep_for: float) -> None:
        """
        Share *published*, unless another process has shared what it asked for later.

        Args:
            now: on the monotonic clock, in seconds.
            keep_for: in seconds.
        """
        asked_at = self._clock() - (now - published.asked_at)
        record = {
            "by": self._store.owner,
            "issuer": self._issuer,
            "url": published.url,
            "headers": _freshness_in(published.headers),
            "asked_at": asked_at,
            "document": published.keys.document,
        }
        self._store.put(
            self._issuer,
            json.dumps(record, ensure_ascii=False),
            seconds=max(1, math.ceil(keep_for)),
            instead_of=lambda there: not self._was_asked_for_after(asked_at, there),
            issuer=self._issuer,
        )

    async def claim(self, *, seconds: float) -> bool:
        """
        Tell whether it is for this process to ask the issuer, and not for another now.

        Args:
            seconds: after which it is for others, if it is not released.
        """
        return await self._store.claim(self._claim, seconds=math.ceil(seconds), issuer=self._issuer)

    def release(self) -> None:
        """Let others ask the issuer."""
        self._store.release(self._claim, issuer=self._issuer)

    @property
    def _claim(self) -> str:
        return f"{self._issuer}#claim"  # no issuer has a fragment

    def _read(self, record: str, *, now: float) -> PublishedKeySet | None:
        if len(record) > 2 * MAX_SIZE:
            raise ValueError("it is too large")
        match parse_object(record.encode()):
            case {"by": self._store.owner}:
                return None  # our own: nothing new
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
                return PublishedKeySet(keys, url, _freshness_in(headers), now - max(0.0, age))
        raise ValueError("it is no record of this issuer")

    def _was_asked_for_after(self, moment: float, record: str) -> bool:
        try:
            asked_at = json.loads(record)["asked_at"]
            return bool(moment < asked_at <= self._clock() + _CLOCK_SKEW)
        except (ValueError, RecursionError, TypeError, LookupError):
            return False  # what cannot be read is replaced

    def _disbelieve(self, cause: str) -> None:
        if cause != self._told:
            self._told = cause
            structlog.get_logger().warning(
                "jwks.store_disbelieved", issuer=self._issuer, cause=cause
            )


def _freshness_in(headers: Mapping[str, Any]) -> dict[str, str]:
    # No validators: with a forged document under the issuer's own ETag, the issuer itself would
    # confirm it from then on.
    return {
        name: value
        for name, value in headers.items()
        if name in FRESHNESS_HEADERS and isinstance(value, str)
    }
