"""Traces as the environment asks for them, and what a collector gets of them."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from pytest_aiohttp import AiohttpClient, AiohttpServer
from structlog.typing import EventDict

from server.app import Keyturn
from server.config import Config
from server.jwks.connection import open_session
from server.span_export import SpanExport
from server.testing.issuer import TestIssuer
from server.tracing import Tracing, exporters_in, tracing
from tests.conftest import Client, KeyturnServer
from tests.processes import ENVIRONMENT, ROOT

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
FOR_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
SOME = "http://127.0.0.1:4318"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

ASKED: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "nothing": ({}, ()),
    "an empty variable": ({ENDPOINT: "", EXPORTER: ""}, ()),
    "an endpoint": ({ENDPOINT: SOME}, ("otlp_proto_http",)),
    "an endpoint for traces": ({FOR_TRACES: SOME}, ("otlp_proto_http",)),
    "an exporter": ({EXPORTER: "otlp"}, ("otlp_proto_http",)),
    "none": ({ENDPOINT: SOME, EXPORTER: "none"}, ()),
    "the console": ({ENDPOINT: SOME, EXPORTER: "console"}, ("console",)),
    "two": ({EXPORTER: "otlp, console,otlp"}, ("otlp_proto_http", "console")),
    "gRPC": ({ENDPOINT: SOME, PROTOCOL: "grpc"}, ("otlp_proto_grpc",)),
    "HTTP for traces": (
        {ENDPOINT: SOME, PROTOCOL: "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
        ("otlp_proto_http",),
    ),
    "nothing after all": ({ENDPOINT: SOME, "OTEL_SDK_DISABLED": " True"}, ()),
}


@pytest.mark.parametrize(("environ", "exporters"), ASKED.values(), ids=ASKED)
def test_traces_are_sent_where_the_environment_says(
    environ: dict[str, str], exporters: tuple[str, ...]
) -> None:
    assert exporters_in(environ) == exporters


@pytest.mark.parametrize(
    ("environ", "cause"),
    [
        ({ENDPOINT: SOME, PROTOCOL: "grpc"}, "no exporter 'otlp_proto_grpc' is installed"),
        ({EXPORTER: "zipkin\x1b"}, "no exporter 'zipkin\\x1b' is installed"),
        ({ENDPOINT: SOME, PROTOCOL: "smoke"}, "OTLP is not spoken over 'smoke'"),
    ],
)
async def test_what_cannot_be_had_is_one_warning_and_no_traces(
    log: list[EventDict], environ: dict[str, str], cause: str
) -> None:
    async with tracing(environ) as traced:
        assert traced == Tracing()

    assert log == [{"event": "tracing.unavailable", "log_level": "warning", "cause": cause}]


async def test_a_setting_that_makes_no_sense_is_a_warning(
    log: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999")

    async with tracing({ENDPOINT: SOME}) as traced:
        assert traced == Tracing()

    assert [each["event"] for each in log] == ["tracing.unavailable"]


class Collector:
    """
    Takes in what is sent to it.

    Attributes:
        is_closed: it answers nobody.
    """

    def __init__(self) -> None:
        self.raw = b""
        self.headers: dict[str, str] = {}
        self.services: set[str] = set()
        self.spans: list[Span] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.raw += raw
        self.headers = dict(request.headers)
        for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
            self.services |= {
                each.value.string_value
                for each in resource.resource.attributes
                if each.key == "service.name"
            }
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    def named(self, name: str, kind: "Span.SpanKind.ValueType") -> list[Span]:
        return [span for span in self.spans if (span.name, span.kind) == (name, kind)]


@pytest.fixture
async def collector(aiohttp_server: AiohttpServer) -> Collector:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    server: TestServer = await aiohttp_server(app)
    collector.url = str(server.make_url("/"))
    return collector


class Issuer:
    """Publishes keys, and those that it is given later."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []

    async def publish(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": self.keys})


@asynccontextmanager
async def traced_client(
    aiohttp_client: AiohttpClient, issuer: Issuer, traced: Tracing
) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_get("/keys", issuer.publish)
    async with TestServer(app) as published, open_session(traces=traced.fetches) as session:
        believed = {
            "issuer": "https://issuer.test/",
            "audience": "https://api.test",
            "jwks_uri": str(published.make_url("/keys?k=s3cr3t")),
        }
        keyturn = Keyturn(Config.model_validate({"issuers": [believed]}), session)
        try:
            await keyturn.until_tried()
            yield await aiohttp_client(KeyturnServer(keyturn.api, connect=traced.connect))
        finally:
            await keyturn.close()


async def test_a_collector_gets_requests_and_the_questions_that_they_cause(
    aiohttp_client: AiohttpClient,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
    log: list[EventDict],
) -> None:
    monkeypatch.setenv(ENDPOINT, collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    issuer, old, new = Issuer(), TestIssuer(), TestIssuer()
    issuer.keys = old.jwks["keys"]
    headers = {**new.bearer(), "traceparent": CALLER}

    async with (
        tracing({ENDPOINT: collector.url}) as traced,
        traced_client(aiohttp_client, issuer, traced) as client,
    ):
        issuer.keys = [*issuer.keys, *new.jwks["keys"]]
        answer = await client.get("/api/private?q=s3cr3t", headers=headers)

    (request,) = collector.named("GET /api/private", Span.SPAN_KIND_SERVER)
    first, second = collector.named("GET", Span.SPAN_KIND_CLIENT)
    assert answer.status == 200
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == tuple(CALLER.split("-")[1:3])
    assert (first.parent_span_id, second.parent_span_id) == (b"", request.span_id)
    assert second.trace_id == request.trace_id
    assert collector.services == {"keyturn"}
    assert collector.headers["api-key"] == "k"
    assert b"deployment.environment.name" in collector.raw
    assert isinstance(trace.get_tracer_provider(), TracerProvider)  # where handlers find it
    assert b"s3cr3t" not in collector.raw
    assert b"eyJ" not in collector.raw
    started = {"exporter": "otlp_proto_http", "service": "keyturn"}
    # OpenTelemetry's own lines come before it, where another test has had it traced.
    assert {"event": "tracing.started", "log_level": "info", **started} in log


async def test_sampling_and_the_name_are_as_the_environment_says(
    aiohttp_client: AiohttpClient, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOR_TRACES, f"{collector.url}v1/traces")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")

    async with (
        tracing({FOR_TRACES: collector.url}) as traced,
        traced_client(aiohttp_client, Issuer(), traced) as client,
    ):
        await client.get("/api/public")
        await client.get("/api/public", headers={"traceparent": CALLER})

    (span,) = collector.spans
    assert span.trace_id.hex() in CALLER
    assert collector.services == {"shop"}


async def test_a_collector_that_does_not_answer_is_waited_for_no_longer_than_a_moment(
    aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch, log: list[EventDict]
) -> None:
    asked, leave = asyncio.Event(), asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        asked.set()
        await leave.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", hang)
    server: TestServer = await aiohttp_server(app)
    monkeypatch.setenv(ENDPOINT, str(server.make_url("/")))
    async with (
        tracing({ENDPOINT: SOME}, last_spans=0.05) as traced,
        open_session(traces=traced.fetches) as session,
        session.get(server.make_url("/nothing")),
    ):
        pass

    assert log[-1]["event"] == "tracing.gave_up"
    await asked.wait()
    leave.set()


async def test_what_an_exporter_logs_is_short_and_without_what_may_be_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FOR_TRACES, "smoke://127.0.0.1/v1/traces?key=s3cr3t")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "s3cr3t")
    export = SpanExport(["otlp_proto_http"])
    export.tracer.start_span("x").end()

    assert await export.close(20)

    told = [each for each in caplog.records if each.name.startswith("opentelemetry.")]
    assert all(each.levelno >= logging.WARNING for each in told)
    assert "what is no name=value is left out" in caplog.text
    assert "reason: InvalidSchema" in caplog.text
    assert "s3cr3t" not in caplog.text


async def test_of_a_collector_that_is_gone_the_system_s_own_word_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await SpanExport(["console"]).close(20)
    log = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")

    try:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as cause:
            raise RuntimeError("<object at 0x7f>") from cause
    except RuntimeError as error:
        log.warning("Transient error %s, retrying in %.2fs", error, 1)

    assert "Transient error RuntimeError: Connection refused, retrying in 1.00s" in caplog.text


PROGRAM = """
import asyncio, sys
from aiohttp import ClientSession
from server import logs
from server.app import Keyturn
from server.config import Config
from server.jwks.connection import open_session
from server.listening import listening, on_port
from server.logs import LogSettings
from server.testing.issuer import TestIssuer
from server.tracing import tracing
from server.web.listener import Runner
from server.workers import starting

UNWANTED = {
    "opentelemetry.exporter",
    "opentelemetry.propagate",
    "opentelemetry.sdk.trace",
    "server.jwks.spans",
    "server.span_export",
    "server.web.spans",
}

class Missing:
    def find_spec(self, name, *_):
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

issuer = TestIssuer()
believed = {"issuer": issuer.name, "audience": issuer.audience, "jwks": issuer.jwks}
config = Config.model_validate({"issuers": [believed]})

async def main(environ):
    async with tracing(environ) as traced, open_session(traces=traced.fetches) as session:
        keyturn = Keyturn(config, session)
        api = Runner(keyturn.api, shutdown_timeout=1, log_requests=True, connect=traced.connect)
        sites, at_once = on_port("127.0.0.1", 0, "x"), asyncio.Event()
        async with listening(api, sites, "x", at_once=at_once), ClientSession() as client:
            url = "http://%s:%d/api/private" % api.addresses[0]
            async with client.get(url, headers=issuer.bearer()) as answer:
                assert answer.status == 200
        await keyturn.close()

logs.configure(LogSettings(format="json"))
asyncio.run(main({}))
# Redis's client takes of OpenTelemetry what measures, if it is there.
assert sys.modules.keys().isdisjoint(UNWANTED)
sys.meta_path.insert(0, Missing())
asyncio.run(main({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}))
"""


def test_without_the_variables_nothing_is_imported_and_without_the_extra_that_is_told() -> None:
    done = subprocess.run(  # noqa: S603 (our own)
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    first, warning, second = lines
    assert (first["event"], second["event"]) == ("request", "request")
    assert warning["event"] == "tracing.unavailable"
    assert "keyturn[otel]" in warning["cause"]
