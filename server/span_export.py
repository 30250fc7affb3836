"""
Spans on their way out, by OpenTelemetry's SDK; nobody waits for it, not even the end for long.

Imported only where traces are asked for: the SDK is an extra.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from functools import partial
from importlib.metadata import entry_points

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from server import __version__
from server.jwks.spans import fetch_spans
from server.web.spans import ServerSpans, TracedConnection

_SERVICE = "service.name"


class SpanExport:
    """
    Sends spans to the exporters of these *names*.

    Raises:
        LookupError: an exporter is not installed.

    Attributes:
        name: of the exporters.
        service: whose spans they are.
        tracer: makes them.
        connect: makes the connections of clients, whose requests are spans.
        fetches: makes a span of each question to an issuer.
    """

    def __init__(self, names: Sequence[str]) -> None:
        _tame_log()
        # First all of them, for a processor has a thread.
        exporters = [_exporter(each)() for each in names]
        resource = _resource()
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for each in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(each))
        trace.set_tracer_provider(self._provider)  # for the spans of handlers
        self.tracer = self._provider.get_tracer("keyturn", __version__)
        self.name = ",".join(names)
        self.service = str(resource.attributes[_SERVICE])
        self.connect = partial(TracedConnection, spans=ServerSpans(self.tracer))
        self.fetches = fetch_spans(self.tracer)

    async def close(self, seconds: float) -> bool:
        """Send what has not been sent; say whether that was done within *seconds*."""
        # It would wait for half a minute, and its thread must not keep the process either.
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, seconds)
        return not ending.is_alive()


def _exporter(name: str) -> type[SpanExporter]:
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        exporter: type[SpanExporter] = found.load()
        return exporter
    raise LookupError(f"no exporter {name!a} is installed")


def _resource() -> Resource:
    told = OTELResourceDetector().detect().attributes
    own = {_SERVICE: "keyturn", "service.version": __version__}
    missing = {name: value for name, value in own.items() if name not in told}
    return Resource.create().merge(Resource(missing))


def _tame_log() -> None:
    logging.getLogger("opentelemetry.util.re").addFilter(_without_headers)
    exporter = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    exporter.addFilter(_shortened)


def _without_headers(record: logging.LogRecord) -> bool:
    # It would quote what is in them, such as keys.
    record.msg, record.args = "OTEL_EXPORTER_OTLP_HEADERS: what is no name=value is left out", ()
    return True


def _shortened(record: logging.LogRecord) -> bool:
    # What requests raises has an address of memory in its text, and the collector's whole URL.
    if isinstance(record.args, tuple):
        record.args = tuple(
            _cause(each) if isinstance(each, BaseException) else each for each in record.args
        )
    return True


def _cause(error: BaseException) -> str:
    name = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and isinstance(cause.strerror, str):
            return f"{name}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return name
