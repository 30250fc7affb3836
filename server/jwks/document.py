"""One bounded GET of one JSON object."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ServerDisconnectedError,
)

from server.jwks.policy import parse_retry_after
from server.oauth.jose import StrictError, parse_object
from server.oauth.keys import UnfitKey

MAX_SIZE = 256 * 1024
_MAX_QUOTED = 200

# In seconds.
_CONNECT_TIMEOUT = 2.0
_READ_TIMEOUT = 3.0

# Of what a server tells: how long its answer is good, and how to ask whether it still is.
_KEPT_HEADERS = (
    "Age", "Cache-Control", "Date", "ETag", "Expires", "Last-Modified", "Retry-After",
)  # fmt: skip


class JWKSFetchError(Exception):
    """
    Keys could not be fetched.  Its text is for the log: what it quotes is escaped and cut.

    Attributes:
        retry_after: what the issuer asked for, in seconds.
        unfit: the keys that it published, none of which can be used.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        unfit: tuple[UnfitKey, ...] = (),
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.unfit = unfit


@dataclass(frozen=True, slots=True)
class Document:
    """
    What an issuer answered.

    Attributes:
        members: a JSON object; nothing if the issuer says that what is held is still good.
        headers: those that tell how long it is good, and its validators.
    """

    members: Mapping[str, Any] | None
    headers: Mapping[str, str]


async def fetch_document(
    session: ClientSession,
    url: str,
    *,
    timeout: float | None,
    fresh: bool = False,
    validators: Mapping[str, str] | None = None,
) -> Document:
    """
    Get one JSON object: bounded in time and in bytes, without following redirects.

    Args:
        timeout: for the whole exchange, in seconds; none if the caller has a limit of its own.
        fresh: ask caches on the way to ask the issuer.
        validators: the conditions of RFC 9110 section 13, if a copy is held.

    Raises:
        JWKSFetchError: whatever went wrong, with the cause chained.
    """
    limits = ClientTimeout(total=timeout, connect=_CONNECT_TIMEOUT, sock_read=_READ_TIMEOUT)
    headers = {**(validators or {}), **({"Cache-Control": "no-cache"} if fresh else {})}
    try:
        async with session.get(
            url, timeout=limits, headers=headers, allow_redirects=False
        ) as response:
            kept = _kept(response)
            if validators and response.status == HTTPStatus.NOT_MODIFIED:
                return Document(None, kept)
            if response.status != HTTPStatus.OK:
                retry_after = parse_retry_after(kept)
                raise JWKSFetchError(f"{url} answered {_status(response)}", retry_after=retry_after)
            return Document(await read_object(response), kept)
    except TimeoutError as error:
        raise JWKSFetchError(f"{url} did not answer in time") from error
    except ClientError as error:
        raise JWKSFetchError(f"{url} could not be fetched: {_cause(error)}") from error
    except StrictError as error:
        raise JWKSFetchError(f"{url} did not answer with a JSON object") from error


async def read_object(response: ClientResponse) -> dict[str, Any]:
    """
    Read an answer that is one JSON object, of 256 KiB at most when it is unpacked.

    Raises:
        JWKSFetchError: it is larger.
        StrictError: it is no JSON object.
    """
    body = bytearray()
    async for chunk in response.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > MAX_SIZE:
            raise JWKSFetchError(f"{response.url} answered with more than {MAX_SIZE} bytes")
    # Not on the event loop: a document that is made for it takes a fifth of a second.
    return await asyncio.to_thread(parse_object, bytes(body))


def _kept(response: ClientResponse) -> dict[str, str]:
    headers = response.headers
    # A header may come in several lines, which mean the same as one (RFC 9110 section 5.3).
    return {name: ", ".join(headers.getall(name)) for name in _KEPT_HEADERS if name in headers}


def _status(response: ClientResponse) -> str:
    location = response.headers.get("Location")
    if location is None:
        return str(response.status)
    return f"{response.status}, a redirect to {ascii(location)[:_MAX_QUOTED]}"


def _cause(error: ClientError) -> str:
    match error:
        case ClientConnectorError(os_error=cause):
            return (cause.strerror or str(cause))[:_MAX_QUOTED]
        case ServerDisconnectedError():
            return "the connection was cut"
    return type(error).__name__
