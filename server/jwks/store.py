"""A place that several processes share, through aiocache; whatever it does, nobody is harmed."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

import structlog
from pydantic import AfterValidator, SecretStr

if TYPE_CHECKING:
    from aiocache import BaseCache

_NAMESPACE = "keyturn:jwks"
_REDIS_PORT = 6379
_CONNECTIONS = 8

# In seconds: for one question; without any after one that failed.
_TIMEOUT = 0.25
_REST = 10.0

_MAX_QUOTED = 200

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
    that is told once.  What is written is written in the background and in turn: who finds a claim
    released finds what was put before.

    Args:
        disconnect: lets the connections go.

    Attributes:
        owner: a name of this process that no other has.
    """

    def __init__(
        self,
        cache: "BaseCache",
        *,
        disconnect: Callable[[], Awaitable[None]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._disconnect = disconnect
        self._now = now
        self.owner = secrets.token_hex(8)
        self._resting_until = float("-inf")
        self._is_failing = False
        self._last_write: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, url: SecretStr) -> Self:
        """Make the store at *url*, which is connected to when it is first used."""
        # Here and not above: Redis's client comes with them, a seventh of the start of a command.
        from aiocache import RedisCache, SimpleMemoryCache
        from aiocache.serializers import StringSerializer
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

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
        cache = RedisCache(
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
        return cls(cache, disconnect=cache.client.aclose)

    async def get(self, name: str, *, issuer: str) -> str | None:
        """Give the text under *name*; nothing if there is none, or if the store fails."""
        text = await self._try(lambda: self._cache.get(name), issuer, otherwise=None)
        return text if isinstance(text, str) else None

    async def claim(self, name: str, *, seconds: int, issuer: str) -> bool:
        """
        Take *name*, unless another process has it; tell whether it is ours.

        It is also ours if the store fails.

        Args:
            seconds: after which others may have it, if it is not released.
        """

        async def claim() -> bool:
            for _ in range(2):  # it may be released between the two questions
                try:
                    await self._cache.add(name, self.owner, ttl=seconds)
                except ValueError:  # aiocache's word for a name that is taken
                    holder = await self._cache.get(name)
                else:
                    return True
                if holder is not None:
                    return bool(holder == self.owner)
            return False

        return await self._try(claim, issuer, otherwise=True)

    def release(self, name: str, *, issuer: str) -> None:
        """Leave *name* to others, if it is ours."""

        async def release() -> None:
            if await self._cache.get(name) == self.owner:
                await self._cache.delete(name)

        self._write(release, issuer)

    def put(
        self,
        name: str,
        text: str,
        *,
        seconds: int,
        issuer: str,
        instead_of: Callable[[str], bool] = lambda _there: True,
    ) -> None:
        """
        Keep *text*.

        Args:
            seconds: for how long.
            instead_of: tells whether it may replace the text that is there.
        """

        async def put() -> None:
            there = await self._cache.get(name)
            if there is None or instead_of(there):
                await self._cache.set(name, text, ttl=seconds)

        self._write(put, issuer)

    async def fault(self) -> str | None:
        """Ask the store, and say what is wrong with it, if anything."""
        try:
            await self._cache.get("")
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
            return _cause(error)
        return None

    async def close(self) -> None:
        """Finish what is being written and leave."""
        if self._last_write is not None:
            await asyncio.wait([self._last_write])
        if self._disconnect is not None:
            await self._disconnect()

    def _write(self, operation: Callable[[], Awaitable[None]], issuer: str) -> None:
        before = self._last_write

        async def write() -> None:
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
        except Exception as error:  # noqa: BLE001 (whatever a store does is a warning)
            self._resting_until = self._now() + _REST
            if not self._is_failing:
                log.warning("jwks.store_failed", cause=_cause(error))
            self._is_failing = True
            return otherwise
        if self._is_failing:
            self._is_failing = False
            log.info("jwks.store_recovered")
        return result


def _cause(error: Exception) -> str:
    # None of these texts holds the password.
    return f"{type(error).__name__}: {error}".removesuffix(": ")[:_MAX_QUOTED]
