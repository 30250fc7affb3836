"""One line for each request, and one measurement, whatever became of it."""

from logging import Logger
from time import monotonic
from typing import Any

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger

from server import logs
from server.oauth.access_token import AccessToken
from server.oauth.errors import LOGGED_LENGTH, AuthError, Evidence, InsufficientScopeError
from server.throttle import Throttle
from server.web.client_address import Proxies
from server.web.exchange import EXCHANGE, Exchange
from server.web.granted_line import MAX_USER_AGENT, GrantedLine
from server.web.measurement import Measurement
from server.web.trace import trace_of

_SERVER_ERROR = 500
_UNAVAILABLE = 503
_VERSION_NOT_SUPPORTED = 505


class RequestLog(AbstractAccessLogger):
    """
    Writes the ``request`` line.

    An access logger and no middleware, because it also sees requests that could not be parsed and
    clients that went away.

    Args:
        unreadable: bounds the lines of what could not be parsed.
        measurement: counts them all.
        proxies: tell who the client is; without any it is whoever has connected.
    """

    def __init__(
        self,
        logger: Logger,
        log_format: str,
        *,
        unreadable: Throttle,
        measurement: Measurement,
        proxies: Proxies | None = None,
    ) -> None:
        super().__init__(logger, log_format)
        self._unreadable = unreadable
        self._measurement = measurement
        self._proxies = proxies
        self._granted = GrantedLine()

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the line of a request that was answered."""
        exchange = request[EXCHANGE]
        address = self.client_of(request)
        # The loop's clock, which aiohttp reads, goes by milliseconds under uvloop.
        if exchange.started_at is not None:
            seconds = monotonic() - exchange.started_at
            status = response.status
            self._measurement.take(request.method, exchange, status, seconds)
            # The usual one, by a shorter way.
            if exchange.outcome == "granted" and status < _SERVER_ERROR and logs.are_json():
                members = self._granted.render(request, exchange, status, seconds, address=address)
                if members and logs.emit_rendered("info", members):
                    return
            write_line(request, exchange, status, seconds, address=address)
            return
        self._measurement.take(request.method, exchange, response.status, time)
        if self._unreadable.admits():
            fields = _fields_of(request, exchange, response.status, time, address=address)
            if held_back := self._unreadable.take_held_back():
                fields["lines_held_back"] = held_back
            logs.emit(_level_of(exchange, response.status), fields)

    def log_cut_off(self, request: web.BaseRequest, exchange: Exchange, seconds: float) -> None:
        """Write the line of a request that nothing was answered to."""
        write_line(request, exchange, None, seconds, address=self.client_of(request))

    def client_of(self, request: web.BaseRequest) -> str | None:
        """Give the address of who has sent *request*, if it has one."""
        return request.remote if self._proxies is None else self._proxies.client_of(request)


def write_line(
    request: web.BaseRequest,
    exchange: Exchange,
    status: int | None,
    seconds: float,
    *,
    address: str | None,
) -> None:
    """Write the line of a request, which has no *status* if nothing was answered."""
    fields = _fields_of(request, exchange, status, seconds, address=address)
    logs.emit(_level_of(exchange, status), fields)


def _fields_of(
    request: web.BaseRequest,
    exchange: Exchange,
    status: int | None,
    seconds: float,
    *,
    address: str | None,
) -> dict[str, Any]:
    fields: dict[str, Any] = {"event": "request", "request_id": exchange.request_id}
    if (trace := trace_of(request, exchange)) is not None:
        fields["trace_id"], fields["span_id"] = trace
    # What could not be parsed has neither method nor path.
    if exchange.is_readable:
        _add_request(fields, request, exchange)
    if status is not None:
        fields["http.response.status_code"] = status
    fields["duration_ms"] = round(seconds * 1000, 3)
    if address:
        fields["client.address"] = address
    fields["auth.outcome"] = exchange.outcome
    if exchange.error is not None:
        _add_refusal(fields, exchange.error, exchange.access)
    elif exchange.access is not None:
        _add_access(fields, exchange.access)
    return fields


def _level_of(exchange: Exchange, status: int | None) -> logs.Level:
    if exchange.outcome == "unavailable" or not exchange.is_readable:
        return "warning"
    # One that was turned away, for want of room, is no fault of the application.
    if status == _UNAVAILABLE and exchange.started_at is None:
        return "warning"
    # A version of HTTP is the client's choice, and so is its refusal.
    if status is not None and status >= _SERVER_ERROR and status != _VERSION_NOT_SUPPORTED:
        return "error"
    return "info"


def _add_request(fields: dict[str, Any], request: web.BaseRequest, exchange: Exchange) -> None:
    headers = request.headers
    fields["http.request.method"] = request.method
    # As it was sent: the decoded path could write what it likes.
    fields["url.path"] = request.rel_url.raw_path
    if exchange.served is not None:
        fields["http.route"] = exchange.served.template
    if agent := headers.get(hdrs.USER_AGENT):
        fields["user_agent.original"] = agent[:MAX_USER_AGENT]


def _add_access(fields: dict[str, Any], access: AccessToken) -> None:
    # What the evidence would tell, without making it for each request.
    mandate = access.mandate
    fields["auth.issuer"] = mandate.issuer
    if access.subject is not None:
        fields["auth.subject"] = access.subject
    if mandate.client_id is not None:
        fields["auth.client_id"] = mandate.client_id[:LOGGED_LENGTH]
    if access.token_id is not None:
        fields["auth.token_id"] = access.token_id[:LOGGED_LENGTH]
    if mandate.key_id is not None:
        fields["auth.kid"] = mandate.key_id
    fields["auth.alg"] = mandate.algorithm
    fields["auth.cached"] = access.cached


def _add_refusal(fields: dict[str, Any], error: AuthError, access: AccessToken | None) -> None:
    fields["auth.reason"] = error.reason.value
    evidence = error.evidence or (access.evidence if access is not None else Evidence())
    told = {
        "auth.issuer": evidence.issuer,
        "auth.subject": evidence.subject,
        "auth.client_id": evidence.client_id,
        "auth.token_id": evidence.token_id,
        "auth.kid": evidence.key_id,
        "auth.alg": evidence.algorithm,
        "auth.cached": evidence.cached,
    }
    fields |= {name: value for name, value in told.items() if value is not None}
    if isinstance(error, InsufficientScopeError) and error.missing:
        fields["auth.scopes_missing"] = list(error.missing)
