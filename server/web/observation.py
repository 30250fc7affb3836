"""One line for each request, whatever became of it."""

import asyncio
import re
import secrets
from logging import Logger
from time import monotonic
from typing import Any

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.typedefs import Handler

from server.oauth.errors import AuthError, Evidence, InsufficientScopeError, KeysUnavailableError
from server.web.routing import ACCESS_TOKEN
from server.web.throttle import Throttle

REQUEST_ID = web.RequestKey("request_id", str)
AUTH_ERROR = web.RequestKey("auth_error", AuthError)
BEGUN = web.RequestKey("begun", web.StreamResponse)
_STARTED_AT = web.RequestKey("started_at", float)

_MAX_USER_AGENT = 512
_SERVER_ERROR = 500

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


def new_request_id() -> str:
    """Make a request id that nobody has used."""
    return secrets.token_hex(12)


def identify(request: web.BaseRequest) -> str:
    """Give the request's id: the client's, if it is fit, else a new one."""
    if REQUEST_ID not in request:
        sent = request.headers.get("X-Request-Id", "")
        request[REQUEST_ID] = sent if _ACCEPTED_ID.fullmatch(sent) else new_request_id()
    return request[REQUEST_ID]


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, and see that one that is cut off leaves its line too."""
    identify(request)
    request[_STARTED_AT] = monotonic()
    try:
        return await handler(request)
    except asyncio.CancelledError:
        # The server gave up on it while stopping: nothing was answered.
        _write_line(request, None, monotonic() - request[_STARTED_AT])
        raise


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id on its answer, and take note that it has begun."""
    response.headers["X-Request-Id"] = identify(request)
    request[BEGUN] = response


class RequestLog(AbstractAccessLogger):
    """
    Writes the ``request`` line.

    An access logger and no middleware, because it also sees requests that could not be parsed and
    clients that went away.

    Args:
        unreadable: bounds the lines of what could not be parsed.
    """

    def __init__(self, logger: Logger, log_format: str, *, unreadable: Throttle) -> None:
        super().__init__(logger, log_format)
        self._unreadable = unreadable

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line of a request that was answered."""
        # The loop's clock, which aiohttp reads, goes by milliseconds under uvloop.
        started_at = request.get(_STARTED_AT)
        if started_at is not None:
            _write_line(request, response, monotonic() - started_at)
        elif self._unreadable.admits():
            _write_line(request, response, time, held_back=self._unreadable.take_held_back())


def _write_line(
    request: web.BaseRequest,
    response: web.StreamResponse | None,
    seconds: float,
    *,
    held_back: int = 0,
) -> None:
    fields: dict[str, Any] = {}
    if isinstance(request, web.Request) and REQUEST_ID in request:
        fields |= _of_request(request)
    elif response is not None:
        # What could not be parsed has neither method nor path.
        fields["request_id"] = response.headers.get("X-Request-Id")
    if response is not None:
        fields["http.response.status_code"] = response.status
    fields["duration_ms"] = round(seconds * 1000, 3)
    fields["client.address"] = request.remote
    fields |= _of_decision(request)
    fields["lines_held_back"] = held_back or None
    fields = {name: value for name, value in fields.items() if value is not None}
    log = structlog.get_logger()
    match response and response.status, fields["auth.outcome"]:
        case 505, _:
            log.info("request", **fields)  # the client's choice, as it is of a version
        case int(status), outcome if status >= _SERVER_ERROR and outcome != "unavailable":
            log.error("request", **fields)
        case _, "unavailable":
            log.warning("request", **fields)
        case _ if "http.request.method" not in fields:
            log.warning("request", **fields)
        case _:
            log.info("request", **fields)


def _of_request(request: web.Request) -> dict[str, Any]:
    trace = _TRACEPARENT.fullmatch(request.headers.get("traceparent", ""))
    resource = _resource_of(request)
    return {
        "request_id": request[REQUEST_ID],
        "trace_id": trace and trace[1],
        "span_id": trace and trace[2],
        "http.request.method": request.method,
        # As it was sent: the decoded path could write what it likes.
        "url.path": request.rel_url.raw_path,
        "http.route": resource and resource.canonical,
        "user_agent.original": request.headers.get("User-Agent", "")[:_MAX_USER_AGENT] or None,
    }


def _resource_of(request: web.Request) -> web.AbstractResource | None:
    try:
        return request.match_info.route.resource
    except AssertionError:
        return None  # it came to grief before it was matched


def _of_decision(request: web.BaseRequest) -> dict[str, Any]:
    error = request.get(AUTH_ERROR)
    access = request.get(ACCESS_TOKEN)
    if error is not None:
        outcome = "unavailable" if isinstance(error, KeysUnavailableError) else "refused"
        missing = error.missing if isinstance(error, InsufficientScopeError) else ()
        return {
            "auth.outcome": outcome,
            "auth.reason": error.reason.value,
            **_of_evidence(error.evidence or (access and access.evidence) or Evidence()),
            "auth.scopes_missing": list(missing) or None,
        }
    if access is not None:
        return {
            "auth.outcome": "granted",
            **_of_evidence(access.evidence),
            "auth.cached": access.cached,
        }
    return {"auth.outcome": "anonymous"}


def _of_evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "auth.issuer": evidence.issuer,
        "auth.subject": evidence.subject,
        "auth.client_id": evidence.client_id,
        "auth.token_id": evidence.token_id,
        "auth.kid": evidence.key_id,
        "auth.alg": evidence.algorithm,
    }
