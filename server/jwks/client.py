"""Asking an issuer for its metadata and its keys: RFC 8414, OpenID Connect Discovery, RFC 7517."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)

from server import __version__
from server.jwks.policy import parse_retry_after
from server.oauth.jose import parse_object
from server.oauth.keys import KeySet, parse_jwks
from server.settings import check_url

_MAX_SIZE = 256 * 1024
_CONNECT_TIMEOUT = 2.0
_READ_TIMEOUT = 3.0
_REDISCOVER_AFTER = 3600.0
_MAX_QUOTED = 200


class JWKSFetchError(Exception):
    """
    Keys could not be fetched.  Its text is for the log: what it quotes is escaped and cut.

    Attributes:
        retry_after: what the issuer asked for, in seconds.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object that was fetched, and the headers that came with it."""

    members: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FetchedKeySet:
    """A key set with at least one key, and the headers that state its freshness."""

    keys: KeySet
    headers: Mapping[str, str]


def open_session() -> ClientSession:
    """Make a session that keeps nothing: no cookies, no proxy from the environment."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return ClientSession(
        connector=TCPConnector(ssl=context),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        headers={"User-Agent": f"keyturn/{__version__}", "Accept": "application/json"},
    )


async def fetch_document(
    session: ClientSession, url: str, *, timeout: float, fresh: bool = False
) -> Document:
    """
    Get one JSON object: bounded in time and in bytes, without following redirects.

    Args:
        timeout: for the whole exchange, in seconds.
        fresh: ask caches on the way to ask the issuer.

    Raises:
        JWKSFetchError: whatever went wrong, with the cause chained.
    """
    limits = ClientTimeout(total=timeout, connect=_CONNECT_TIMEOUT, sock_read=_READ_TIMEOUT)
    headers = {"Cache-Control": "no-cache"} if fresh else {}
    try:
        async with session.get(
            url, timeout=limits, headers=headers, allow_redirects=False
        ) as response:
            if response.status != HTTPStatus.OK:
                raise JWKSFetchError(
                    f"{url} answered {response.status}",
                    retry_after=parse_retry_after(response.headers.get("Retry-After")),
                )
            return Document(await read_object(response), response.headers.copy())
    except TimeoutError as error:
        raise JWKSFetchError(f"{url} did not answer in time") from error
    except ClientError as error:
        raise JWKSFetchError(f"{url} could not be fetched ({type(error).__name__})") from error
    except (ValueError, RecursionError) as error:
        raise JWKSFetchError(f"{url} did not answer with a JSON object") from error


async def read_object(response: ClientResponse) -> dict[str, Any]:
    """
    Read an answer that is one JSON object, of 256 KiB at most when it is unpacked.

    Raises:
        JWKSFetchError: it is larger.
        ValueError, RecursionError: it is no JSON object.
    """
    body = bytearray()
    async for chunk in response.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > _MAX_SIZE:
            raise JWKSFetchError(f"{response.url} answered with more than {_MAX_SIZE} bytes")
    return parse_object(bytes(body))


async def discover(session: ClientSession, issuer: str, *, timeout: float) -> Mapping[str, Any]:
    """
    Get an issuer's metadata: RFC 8414 section 3, then OpenID Connect Discovery section 4.

    Raises:
        JWKSFetchError: neither document can be had, or it names another issuer.
    """
    failures = []
    for url in _metadata_urls(issuer):
        try:
            document = await fetch_document(session, url, timeout=timeout)
        except JWKSFetchError as error:
            failures.append(error)
            continue
        named = document.members.get("issuer")
        if named == issuer:
            return document.members
        failures.append(JWKSFetchError(_misnamed(url, issuer, named)))
    raise JWKSFetchError(
        "; ".join(dict.fromkeys(map(str, failures))),
        retry_after=max(each.retry_after or 0 for each in failures) or None,
    ) from failures[0]


class IssuerClient:
    """
    One issuer, asked for its keys.

    The place of the keys is discovered unless it is configured; again after an hour, and after a
    fetch that failed, so that an issuer may move them.
    """

    def __init__(
        self,
        session: ClientSession,
        issuer: str,
        *,
        jwks_uri: str | None,
        timeout: float,
        now: Callable[[], float],
    ) -> None:
        self._session = session
        self._issuer = issuer
        self._configured = jwks_uri
        self._timeout = timeout
        self._now = now
        self._discovered: str | None = None
        self._discovered_at = 0.0

    async def fetch_key_set(self, *, fresh: bool) -> FetchedKeySet:
        """
        Get the issuer's keys.

        Args:
            fresh: ask caches on the way to ask the issuer.

        Raises:
            JWKSFetchError: whatever went wrong, also a set without a usable key.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._discover_and_fetch(fresh=fresh)
        except TimeoutError as error:
            raise JWKSFetchError(f"{self._issuer} did not answer in time") from error

    async def _discover_and_fetch(self, *, fresh: bool) -> FetchedKeySet:
        url = self._configured or await self._jwks_uri()
        try:
            return await self._fetch_from(url, fresh=fresh)
        except (JWKSFetchError, asyncio.CancelledError):
            self._discovered = None
            raise

    async def _fetch_from(self, url: str, *, fresh: bool) -> FetchedKeySet:
        document = await fetch_document(self._session, url, timeout=self._timeout, fresh=fresh)
        try:
            keys = parse_jwks(document.members)
        except ValueError as error:
            raise JWKSFetchError(f"{url} is no key set: {error}") from error
        if not keys.keys:
            raise JWKSFetchError(f"{url} has no usable key")
        return FetchedKeySet(keys, document.headers)

    async def _jwks_uri(self) -> str:
        now = self._now()
        if self._discovered is not None and now - self._discovered_at <= _REDISCOVER_AFTER:
            return self._discovered
        try:
            metadata = await discover(self._session, self._issuer, timeout=self._timeout)
            self._discovered = _jwks_uri_in(metadata, self._issuer)
        except JWKSFetchError:
            # Metadata that cannot be had for once is no reason to lose the keys.
            if self._discovered is None:
                raise
        self._discovered_at = now
        return self._discovered


def _jwks_uri_in(metadata: Mapping[str, Any], issuer: str) -> str:
    try:
        uri = check_url(str(metadata.get("jwks_uri", "")))
    except ValueError as error:
        raise JWKSFetchError(f"the jwks_uri of {issuer} {error}") from error
    if issuer.startswith("https:") and uri.startswith("http:"):
        raise JWKSFetchError(f"the jwks_uri of {issuer} must be https:// as its issuer is")
    return uri


def _metadata_urls(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    path = "/.well-known/oauth-authorization-server" + parts.path.rstrip("/")
    return (
        urlunsplit((parts.scheme, parts.netloc, path, "", "")),
        issuer.rstrip("/") + "/.well-known/openid-configuration",
    )


def _misnamed(url: str, issuer: str, named: object) -> str:
    told = ascii(named)[:_MAX_QUOTED]
    if isinstance(named, str) and named.rstrip("/") == issuer.rstrip("/"):
        return f"the issuer names itself {told}: configure exactly that, slash included"
    return f"{url} names another issuer: {told}"
