"""Asking an issuer for its keys: RFC 7517, RFC 9110 section 13."""

import asyncio
from collections.abc import Callable

from aiohttp import ClientSession

from server.jwks.discovery import DiscoveredPlace
from server.jwks.document import JWKSFetchError, fetch_document
from server.jwks.published import PublishedKeySet
from server.oauth.jwk_set import parse_jwks


class IssuerClient:
    """
    One issuer, asked for its keys.

    Args:
        jwks_uri: where they are; discovered if absent.
        timeout: for discovery and fetch together, in seconds.
        now: the monotonic clock.
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
        self._place = DiscoveredPlace(session, issuer, timeout=timeout, now=now)
        self._timeout = timeout
        self._now = now

    async def fetch_key_set(
        self, held: PublishedKeySet | None = None, *, fresh: bool = False
    ) -> PublishedKeySet:
        """
        Get the issuer's keys.

        Args:
            held: given back, confirmed, if the issuer says that it has not changed.
            fresh: ask caches on the way to ask the issuer.

        Raises:
            JWKSFetchError: whatever went wrong, also a set without a usable key.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._discover_and_fetch(held, fresh=fresh)
        except TimeoutError as error:
            raise JWKSFetchError(f"{self._issuer} did not answer in time") from error

    async def _discover_and_fetch(
        self, held: PublishedKeySet | None, *, fresh: bool
    ) -> PublishedKeySet:
        asked_at = self._now()
        url = self._configured or await self._place.url()
        try:
            return await self._fetch_from(url, held, fresh=fresh, asked_at=asked_at)
        except (JWKSFetchError, asyncio.CancelledError):
            self._place.doubt()
            raise

    async def _fetch_from(
        self, url: str, held: PublishedKeySet | None, *, fresh: bool, asked_at: float
    ) -> PublishedKeySet:
        conditions = {} if held is None else held.conditions(url)
        document = await fetch_document(
            self._session, url, timeout=None, fresh=fresh, validators=conditions
        )
        if document.members is None:
            if held is None or not held.is_confirmed_by(document.headers):
                raise JWKSFetchError(f"{url} confirmed what is not held")
            return held.confirmed(document.headers, asked_at=asked_at)
        try:
            keys = await asyncio.to_thread(parse_jwks, document.members)
        except ValueError as error:
            raise JWKSFetchError(f"{url} is no key set: {error}") from error
        if not keys.keys:
            causes = "; ".join(dict.fromkeys(each.cause for each in keys.unfit)) or "it is empty"
            raise JWKSFetchError(f"{url} has no usable key: {causes}", unfit=keys.unfit)
        return PublishedKeySet(keys, url, document.headers, asked_at)
