"""A place that several processes share, through aiocache; whatever it does, nobody is harmed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

import structlog
from aiocache import BaseCache, RedisCache, SimpleMemoryCache
from aiocache.serializers import StringSerializer
from pydantic import AfterValidator, SecretStr
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_NAMESPACE = "keyturn:jwks"
_REDIS_PORT = 6379
_TIMEOUT = 0.25
_CONNECTIONS = 8
_REST = 10.0
_MAX_QUOTED = 200

# What stores do; anything else is a fault of ours, and told with its traceback.
_FAILURES = (OSError, RedisError, UnicodeError)

_T = TypeVar("_T")


def _check_store(url: SecretStr) -> SecretStr:
    fault = "must be memory:// or redis://host:port/db"
    try:
        parts = urlsplit(url.get_secret_value())
        database = parts.path.strip("/") or "0"
        port = parts.port
    except ValueError:
        raise ValueError(fault) from None
    if parts.query or parts.fragment or port == 0:
        raise ValueError(fault)
    if parts.scheme == "memory" and not parts.netloc and not parts.path:
        return url
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ValueError(fault)
    if not (database.isascii() and database.isdigit()):
        raise ValueError(fault)
    return url


StoreUrl = Annotated[SecretStr, AfterValidator(_check_store)]
"""``memory://`` or ``redis://[user:password@]host[:port][/db]``; ``rediss`` for TLS."""


class Store:
    """
    Texts by name, in *cache*.

    Each question has a limit of time.  After one that failed the store is left alone for a while;
    that is told once.
    """

    def __init__(self, cache: BaseCache, *, now: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._now = now
        self._resting_until = float("-inf")
        self._is_failing = False
        self._claims: set[str] = set()
        self._last_write: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, url: SecretStr) -> Self:
        """Make the store at *url*, which is connected to when it is first used."""
        common: dict[str, Any] = {
            "serializer": StringSerializer(),
            "namespace": _NAMESPACE,
            "timeout": _TIMEOUT,
        }
        parts = urlsplit(url.get_secret_value())
        if parts.scheme == "memory":
            return cls(SimpleMemoryCache(**common))
        connection: dict[str, Any] = {"retry": Retry(NoBackoff(), 1)}
        if parts.username:
            connection["username"] = unquote(parts.username)
        return cls(
            RedisCache(
                endpoint=parts.hostname,
                port=parts.port or _REDIS_PORT,
                db=int(parts.path.strip("/") or 0),
                password=unquote(parts.password) if parts.password else None,
                pool_max_size=_CONNECTIONS,
                create_connection_timeout=_TIMEOUT,
                ssl=parts.scheme == "rediss",
                connection_pool_kwargs=connection,
                **common,
            )
        )

    async def get(self, name: str, *, issuer: str) -> str | None:
        """Give the text under *name*; nothing if there is none, or if the store fails."""
        text = await self._try(lambda: self._cache.get(name), issuer, otherwise=None)
        return text if isinstance(text, str) else None

    async def claim(self, name: str, *, seconds: int, issuer: str) -> bool:
        """Take *name* for *seconds*; tell whether it is ours: also if the store fails."""

        async def claim() -> bool:
            try:
                await self._cache.add(name, "", ttl=seconds)
            except ValueError:
                # aiocache's word for a name that is taken, which may be by ourselves just now.
                return name in self._claims
            return True

        is_ours = await self._try(claim, issuer, otherwise=True)
        if is_ours:
            self._claims.add(name)
        return is_ours

    def release(self, name: str, *, issuer: str) -> None:
        """Leave *name* to others, once what was put before is there: in the background."""

        async def release() -> None:
            await self._cache.delete(name)
            self._claims.discard(name)

        self._write(release, issuer)

    def put(self, name: str, text: str, *, seconds: int, issuer: str) -> None:
        """Keep *text* for *seconds*: in the background, nobody waits for it."""
        self._write(lambda: self._cache.set(name, text, ttl=seconds), issuer)

    async def close(self) -> None:
        """Finish what is being written and leave."""
        if self._last_write is not None:
            await asyncio.wait([self._last_write])
        if isinstance(self._cache, RedisCache):
            await self._cache.client.aclose()

    def _write(self, operation: Callable[[], Awaitable[Any]], issuer: str) -> None:
        before = self._last_write

        async def write() -> None:
            # In turn: who finds a claim removed is to find what was put before.
            if before is not None:
                await asyncio.wait([before])
            await self._try(operation, issuer, otherwise=None)

        self._last_write = asyncio.create_task(write())

    async def _try(
        self, operation: Callable[[], Awaitable[_T]], issuer: str, *, otherwise: _T
    ) -> _T:
        if self._now() < self._resting_until:
            return otherwise
        log = structlog.get_logger().bind(issuer=issuer)
        try:
            result = await operation()
        except Exception as error:
            self._resting_until = self._now() + _REST
            if not self._is_failing:
                is_ours = not isinstance(error, _FAILURES)
                cause = f"{type(error).__name__}: {error}"[:_MAX_QUOTED]
                log.warning("jwks.store_failed", cause=cause, exc_info=is_ours)
            self._is_failing = True
            return otherwise
        if self._is_failing:
            self._is_failing = False
            log.info("jwks.store_recovered")
        return result
