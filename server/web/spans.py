"""
One span for each request, by OpenTelemetry's semantic conventions for HTTP servers.

Imported only where traces are asked for: OpenTelemetry is an extra.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.web_protocol import ERROR
from multidict import CIMultiDictProxy
from opentelemetry import context as contexts
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from server.oauth.errors import LOGGED_LENGTH
from server.web.connection import Connection
from server.web.exchange import EXCHANGE, Exchange
from server.web.granted_line import MAX_USER_AGENT
from server.web.measurement import METHODS, OTHER_METHOD
from server.web.observation import RequestLog

_SERVER_ERROR = 500
_PORTS = {"http": 80, "https": 443}
_MAX_HEADER = 8192  # of what a trace may come with; as much as a baggage may have

# They write lines of what strangers send.
_TALKATIVE = (
    "opentelemetry.baggage.propagation",
    "opentelemetry.trace.propagation.tracecontext",
    "opentelemetry.trace.span",
)

_Attributes = dict[str, AttributeValue]


class ServerSpans:
    """Begins and ends the spans of requests with *tracer*."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)

    def begin(self, request: web.BaseRequest) -> tuple[Span, Context]:
        """Begin the span of *request*; give the context in which it is the current one."""
        context = _context_of(request)
        attributes = _attributes_of(request)
        span = self._tracer.start_span(
            _name(str(attributes["http.request.method"])),
            context,
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        known = span.get_span_context()
        trace_id, span_id = known.trace_id, known.span_id
        request[EXCHANGE].trace = trace.format_trace_id(trace_id), trace.format_span_id(span_id)
        return span, trace.set_span_in_context(span, context)

    def end(
        self,
        span: Span,
        request: web.BaseRequest,
        status: int | None,
        *,
        address: str | None,
        fault: str | None = None,
    ) -> None:
        """
        End *span*.

        Args:
            status: of the answer, if there was one.
            address: of the client.
            fault: why there was none: the name of an exception's type.
        """
        if span.is_recording():
            exchange = request[EXCHANGE]
            if exchange.served is not None:
                span.update_name(f"{exchange.served.method} {exchange.served.template}")
            span.set_attributes(_outcome(exchange, status))
            if address:
                span.set_attribute("client.address", address)
            if status is None or status >= _SERVER_ERROR:
                # The type alone: what an exception says may be a token.
                span.set_attribute("error.type", fault or exchange.fault or str(status))
                span.set_status(StatusCode.ERROR)
        span.end()


class TracedConnection(Connection):
    """One client's connection, whose requests have spans."""

    __slots__ = ("_span", "_spans")
    _span: Span | None  # of the request that is being answered

    def __init__(self, *arguments: Any, spans: ServerSpans, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._spans = spans
        self._span = None

    def log_access(
        self, request: web.BaseRequest, response: web.StreamResponse, time: float | None
    ) -> None:
        """Write the line of a request that was answered, and end its span."""
        super().log_access(request, response, time)
        self._end_span(request, response.status)

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        # All that is done for a request: aiohttp has no door here.
        self._span, context = self._spans.begin(request)
        token = contexts.attach(context)
        try:
            return await super()._handle_request(request, start_time, request_handler)
        except BaseException as error:
            # It is given up: nothing was answered, or no more than a part, which has its line.
            self._end_span(request, None, type(error).__qualname__)
            raise
        finally:
            contexts.detach(token)

    def _end_span(
        self, request: web.BaseRequest, status: int | None, fault: str | None = None
    ) -> None:
        span, self._span = self._span, None
        if span is not None:
            log = self.access_logger
            address = log.client_of(request) if isinstance(log, RequestLog) else request.remote
            self._spans.end(span, request, status, address=address, fault=fault)


class _Headers(Getter[CIMultiDictProxy[str]]):
    """Reads what a stranger sent of a trace, as far as it can be read."""

    def get(self, carrier: CIMultiDictProxy[str], key: str) -> list[str] | None:
        values = carrier.getall(key, ())
        fit = (each for each in values if each.isascii() and len(each) <= _MAX_HEADER)
        # One blank says as much as thousands, for which OpenTelemetry takes a tenth of a second.
        return [" ".join(each.split()) for each in fit] or None

    def keys(self, carrier: CIMultiDictProxy[str]) -> list[str]:
        return list(carrier.keys())


_headers = _Headers()


def _context_of(request: web.BaseRequest) -> Context:
    # From nothing: whatever is current where the connection was made has no part in it.
    try:
        return propagate.extract(request.headers, Context(), _headers)
    except Exception:  # noqa: BLE001 (what a propagator cannot read is no trace)
        return Context()


def _attributes_of(request: web.BaseRequest) -> _Attributes:
    method = OTHER_METHOD
    address, port = _server_of(request)
    attributes: _Attributes = {
        "url.scheme": request.scheme,
        "network.protocol.version": f"{request.version.major}.{request.version.minor}",
        "server.address": address,
        "server.port": port,
    }
    # What could not be parsed has neither method nor path.
    if request[EXCHANGE].is_readable and request._message is not ERROR:  # noqa: SLF001 (as above)
        if request.method in METHODS:
            method = request.method
        else:
            attributes["http.request.method_original"] = request.method[:LOGGED_LENGTH]
        attributes["url.path"] = request.rel_url.raw_path
        if agent := request.headers.get(hdrs.USER_AGENT):
            attributes["user_agent.original"] = _readable(agent[:MAX_USER_AGENT])
    attributes["http.request.method"] = method
    return attributes


def _outcome(exchange: Exchange, status: int | None) -> _Attributes:
    attributes: _Attributes = {"auth.outcome": exchange.outcome}
    if exchange.error is not None:
        attributes["auth.reason"] = exchange.error.reason.value
    if exchange.served is not None:
        attributes["http.route"] = exchange.served.template
    if status is not None:
        attributes["http.response.status_code"] = status
    return attributes


def _name(method: str) -> str:
    return "HTTP" if method == OTHER_METHOD else method


def _server_of(request: web.BaseRequest) -> tuple[str, int]:
    usual = _PORTS.get(request.scheme, 0)
    named = _split(request.headers.get(hdrs.HOST, ""))
    if named is not None:
        return named[0], named[1] or usual
    match request.transport and request.transport.get_extra_info("sockname"):
        case [str(address), int(port), *_]:
            return address, port
    return "", usual


@lru_cache(maxsize=64)
def _split(host: str) -> tuple[str, int | None] | None:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (_readable(name), port) if name else None


def _readable(text: str) -> str:
    # Lone surrogates, which only a client can have sent, would cost a whole batch of spans.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
