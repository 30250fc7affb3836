"""Traces, where OpenTelemetry's variables ask for them and the extra ``otel`` is installed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiohttp import TraceConfig

from server.web.connection import Connection
from server.web.listener import Connect

if TYPE_CHECKING:
    from server.span_export import SpanExport

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LAST_SPANS = 1.0

_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


@dataclass(frozen=True, slots=True)
class Tracing:
    """
    Where spans begin.

    Attributes:
        connect: makes the connections of clients, whose requests are spans.
        fetches: makes a span of each question to an issuer.
    """

    connect: Connect = Connection
    fetches: tuple[TraceConfig, ...] = ()


@asynccontextmanager
async def tracing(
    environ: Mapping[str, str], *, last_spans: float = _LAST_SPANS
) -> AsyncIterator[Tracing]:
    """
    Trace as *environ* asks for, and send what there is in the end; nothing if it does not ask.

    For a process that forks no more. OpenTelemetry itself reads the process's own environment.

    Args:
        last_spans: how long sending what is left may take, in seconds.
    """
    export = _open(environ)
    if export is None:
        yield Tracing()
        return
    try:
        yield Tracing(export.connect, (export.fetches,))
    finally:
        if not await export.close(last_spans):
            structlog.get_logger().warning("tracing.gave_up", exporter=export.name)


def exporters_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    Give the exporters that *environ* asks for, by the names that they are installed under.

    Raises:
        LookupError: OTLP is to be spoken in a way that nobody here can.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    asked = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if not asked and any(environ.get(each) for each in _ENDPOINTS):
        asked = "otlp"
    names = [each.strip() for each in asked.split(",")]
    wanted = [each for each in names if each and each.lower() != "none"]
    return tuple(dict.fromkeys(_otlp(environ) if each == "otlp" else each for each in wanted))


def _otlp(environ: Mapping[str, str]) -> str:
    spoken = (environ.get(each, "").strip() for each in _PROTOCOLS)
    protocol = next(filter(None, spoken), "http/protobuf")
    if protocol not in _OTLP:
        raise LookupError(f"OTLP is not spoken over {protocol!a}")
    return _OTLP[protocol]


def _open(environ: Mapping[str, str]) -> "SpanExport | None":
    log = structlog.get_logger()
    try:
        names = exporters_in(environ)
        if not names:
            return None
        # Here and not above: it is an extra, and takes half a second.
        from server.span_export import SpanExport

        export = SpanExport(names)
    except ModuleNotFoundError as error:
        log.warning("tracing.unavailable", cause=f"{error} (keyturn[otel] installs it)")
    except Exception as error:  # noqa: BLE001 (whatever a plugin raises: to serve matters more)
        log.warning("tracing.unavailable", cause=str(error) or type(error).__name__)
    else:
        log.info("tracing.started", exporter=export.name, service=export.service)
        return export
    return None
