"""Where an issuer says its keys are: RFC 8414, OpenID Connect Discovery."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aiohttp import ClientSession

from server.jwks.document import JWKSFetchError, fetch_document
from server.settings import check_url

_REDISCOVER_AFTER = 3600.0
_MAX_QUOTED = 200


async def discover(session: ClientSession, issuer: str, *, timeout: float) -> Mapping[str, Any]:
    """
    Get an issuer's metadata: RFC 8414 section 3, then OpenID Connect Discovery section 4.

    Raises:
        JWKSFetchError: neither document can be had, or it names another issuer.
    """
    failures = []
    for url in _metadata_urls(issuer):
        try:
            members = (await fetch_document(session, url, timeout=timeout)).members or {}
        except JWKSFetchError as error:
            failures.append(error)
            continue
        named = members.get("issuer")
        if named == issuer:
            return members
        failures.append(JWKSFetchError(_misnamed(url, issuer, named)))
    raise JWKSFetchError(
        "; ".join(dict.fromkeys(map(str, failures))),
        retry_after=max(each.retry_after or 0 for each in failures) or None,
    ) from failures[0]


class DiscoveredPlace:
    """
    Where the keys of *issuer* are, as its metadata says.

    Asked for again after an hour, and when it was no good, so that an issuer may move them.
    """

    def __init__(
        self, session: ClientSession, issuer: str, *, timeout: float, now: Callable[[], float]
    ) -> None:
        self._session = session
        self._issuer = issuer
        self._timeout = timeout
        self._now = now
        self._url: str | None = None
        self._found_at = 0.0

    async def url(self) -> str:
        """
        Give the address of the key set.

        Raises:
            JWKSFetchError: there is no metadata, or no acceptable address in it.
        """
        now = self._now()
        if self._url is None:
            self._url = await self._discover()
        elif now - self._found_at > _REDISCOVER_AFTER:
            # Metadata that cannot be had for once is no reason to lose the keys, nor the time
            # that fetching them takes.
            with suppress(JWKSFetchError, TimeoutError):
                async with asyncio.timeout(self._timeout / 2):
                    self._url = await self._discover()
        self._found_at = now
        return self._url

    def doubt(self) -> None:
        """Look again the next time: what was found seems to be no good."""
        self._found_at = float("-inf")

    async def _discover(self) -> str:
        metadata = await discover(self._session, self._issuer, timeout=self._timeout)
        return _jwks_uri_in(metadata, self._issuer)


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
