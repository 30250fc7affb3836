"""Where an issuer says its keys are: RFC 8414, OpenID Connect Discovery."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from aiohttp import ClientSession

from server.jwks.document import JWKSFetchError, fetch_document
from server.settings import check_url

# In seconds; the second after a failure.
_REDISCOVER_AFTER = 3600.0
_TRY_AGAIN_AFTER = 300.0

_MAX_QUOTED = 200
_LONGEST_URL = 2048


async def discover(
    session: ClientSession, issuer: str, *, endpoint: str, timeout: float | None
) -> str:
    """
    Find an endpoint in an issuer's metadata: RFC 8414 section 3, else OpenID Connect Discovery.

    Args:
        endpoint: its name in the metadata, such as ``jwks_uri``.
        timeout: for each of the two documents, in seconds; none if the caller has a limit.

    Raises:
        JWKSFetchError: neither document can be had, names this issuer and has the endpoint.
    """
    failures = []
    for url in _metadata_urls(issuer):
        try:
            metadata = (await fetch_document(session, url, timeout=timeout)).members or {}
            if metadata.get("issuer") != issuer:
                raise JWKSFetchError(_misnamed(issuer, metadata.get("issuer")))  # noqa: TRY301
            return _endpoint_in(metadata, issuer, endpoint)
        except JWKSFetchError as error:
            failures.append(error)
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
            self._url = await self._discover(timeout=None)
            self._found_at = now
        elif now - self._found_at > _REDISCOVER_AFTER:
            # Metadata that cannot be had for once is no reason to lose the keys, nor the time
            # that fetching them takes.
            self._found_at = now - _REDISCOVER_AFTER + _TRY_AGAIN_AFTER
            with suppress(JWKSFetchError):
                self._url = await self._discover(timeout=self._timeout / 4)
                self._found_at = now
        return self._url

    def doubt(self) -> None:
        """Look again the next time: what was found seems to be no good."""
        self._found_at = float("-inf")

    async def _discover(self, *, timeout: float | None) -> str:
        return await discover(self._session, self._issuer, endpoint="jwks_uri", timeout=timeout)


def _endpoint_in(metadata: Mapping[str, Any], issuer: str, name: str) -> str:
    url = metadata.get(name)
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        raise JWKSFetchError(f"the metadata of {issuer} has no {name}")
    try:
        check_url(url)
    except ValueError as error:
        raise JWKSFetchError(f"the {name} of {issuer} {error}") from error
    if issuer.startswith("https:") and url.startswith("http:"):
        raise JWKSFetchError(f"the {name} of {issuer} must be https:// as its issuer is")
    return url


def _metadata_urls(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    path = "/.well-known/oauth-authorization-server" + parts.path.rstrip("/")
    return (
        urlunsplit((parts.scheme, parts.netloc, path, "", "")),
        issuer.rstrip("/") + "/.well-known/openid-configuration",
    )


def _misnamed(issuer: str, named: object) -> str:
    told = ascii(named)[:_MAX_QUOTED]
    if not isinstance(named, str):
        return f"the metadata of {issuer} does not name its issuer"
    if named.rstrip("/") == issuer.rstrip("/"):
        return f"the issuer names itself {told}: configure exactly that, slash included"
    return f"the metadata of {issuer} names another issuer, {told}: configure the one that you mean"
