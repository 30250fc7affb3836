"""What a span of a question to an issuer has, and whose child it is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from server.jwks.connection import open_session
from server.jwks.document import JWKSFetchError, fetch_document
from server.jwks.spans import fetch_spans
from tests.jwks.conftest import Endpoint
from tests.processes import free_ports


@pytest.fixture
def ended() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(ended: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    return provider.get_tracer("tests")


@pytest.fixture
async def session(tracer: Tracer) -> AsyncIterator[ClientSession]:
    async with open_session(traces=[fetch_spans(tracer)]) as session:
        yield session


def only(ended: InMemorySpanExporter) -> tuple[ReadableSpan, dict[str, Any]]:
    (span,) = ended.get_finished_spans()
    return span, dict(span.attributes or {})


async def test_a_question_is_a_span_without_what_may_be_secret(
    session: ClientSession, endpoint: Endpoint, ended: InMemorySpanExporter
) -> None:
    endpoint.gives("/keys", {})
    port = int(endpoint.base.rstrip("/").rpartition(":")[2])

    await fetch_document(session, f"http://u:p@127.0.0.1:{port}/keys?key=s3cr3t#x", timeout=5)

    span, said = only(ended)
    assert (span.name, span.kind, span.parent) == ("GET", SpanKind.CLIENT, None)
    assert span.status.status_code is StatusCode.UNSET
    assert said == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.full": f"http://127.0.0.1:{port}/keys",
        "server.address": "127.0.0.1",
        "server.port": port,
    }


async def test_an_issuer_is_not_told_of_the_trace_that_asks_it(
    session: ClientSession, endpoint: Endpoint, ended: InMemorySpanExporter, tracer: Tracer
) -> None:
    endpoint.gives("/keys", {})

    with tracer.start_as_current_span("request") as parent:
        await fetch_document(session, f"{endpoint.base}keys", timeout=5)

    span, _ = ended.get_finished_spans()
    assert span.parent is not None
    assert span.parent == parent.get_span_context()
    assert {"traceparent", "tracestate"}.isdisjoint(each.lower() for each in endpoint.headers[0])


async def test_an_issuer_that_refuses_is_an_error(
    session: ClientSession, endpoint: Endpoint, ended: InMemorySpanExporter
) -> None:
    with pytest.raises(JWKSFetchError):
        await fetch_document(session, f"{endpoint.base}nothing", timeout=5)

    span, said = only(ended)
    assert span.status.status_code is StatusCode.ERROR
    assert (said["http.response.status_code"], said["error.type"]) == (404, "404")


async def test_an_issuer_that_is_not_there_is_an_error(
    session: ClientSession, ended: InMemorySpanExporter
) -> None:
    (port,) = free_ports(1)

    with pytest.raises(JWKSFetchError):
        await fetch_document(session, f"http://127.0.0.1:{port}/keys", timeout=5)

    span, said = only(ended)
    assert span.status.status_code is StatusCode.ERROR
    assert said["error.type"] == "ClientConnectorError"


async def test_a_question_that_is_given_up_ends_its_span(
    session: ClientSession, endpoint: Endpoint, ended: InMemorySpanExporter
) -> None:
    asked = asyncio.Event()

    async def hang(_request: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    endpoint.answers["/keys"] = hang
    asking = asyncio.create_task(fetch_document(session, f"{endpoint.base}keys", timeout=5))
    await asked.wait()

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert only(ended)[1]["error.type"] == "CancelledError"
