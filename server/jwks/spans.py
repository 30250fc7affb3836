"""
One span for each question to an issuer, by OpenTelemetry's semantic conventions for HTTP clients.

Imported only where traces are asked for: OpenTelemetry is an extra.
"""

from types import SimpleNamespace

from aiohttp import (
    ClientSession,
    TraceConfig,
    TraceRequestEndParams,
    TraceRequestExceptionParams,
    TraceRequestStartParams,
)
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue
from yarl import URL

_ERROR = 400  # for who asks, a refusal is one as well


def fetch_spans(tracer: Tracer) -> TraceConfig:
    """
    Make what a session traces its questions with.

    They are children of the request that caused them, if one did.  Issuers are strangers: they are
    not told of any trace.
    """

    async def begin(
        _session: ClientSession, asking: SimpleNamespace, start: TraceRequestStartParams
    ) -> None:
        asking.span = tracer.start_span(
            start.method, kind=SpanKind.CLIENT, attributes=_attributes(start.method, start.url)
        )

    async def end(
        _session: ClientSession, asking: SimpleNamespace, answer: TraceRequestEndParams
    ) -> None:
        status = answer.response.status
        asking.span.set_attribute("http.response.status_code", status)
        if status >= _ERROR:
            asking.span.set_attribute("error.type", str(status))
            asking.span.set_status(StatusCode.ERROR)
        asking.span.end()

    async def fail(
        _session: ClientSession, asking: SimpleNamespace, failure: TraceRequestExceptionParams
    ) -> None:
        asking.span.set_attribute("error.type", type(failure.exception).__qualname__)
        asking.span.set_status(StatusCode.ERROR)
        asking.span.end()

    config = TraceConfig()
    config.on_request_start.append(begin)
    config.on_request_end.append(end)
    config.on_request_exception.append(fail)
    return config


def _attributes(method: str, url: URL) -> dict[str, AttributeValue]:
    # Nothing that may be a secret.
    bare = url.with_user(None).with_query(None).with_fragment(None)
    return {
        "http.request.method": method,
        "url.full": str(bare),
        "server.address": url.host or "",
        "server.port": url.port or 0,
    }
