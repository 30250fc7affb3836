"""What a span of a request has, and whose child it is."""

import asyncio
import re
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from opentelemetry import propagate, trace
from opentelemetry.baggage import get_all
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Sampler
from opentelemetry.trace import SpanKind, StatusCode
from structlog.typing import EventDict

from server.oauth.errors import KeysUnavailableError
from server.routes import ROUTES
from server.web import get, public
from server.web.spans import ServerSpans, TracedConnection
from tests.conftest import Client, MakeClient
from tests.minting import token
from tests.processes import ROOT
from tests.raw import connected, send

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{SPAN}-01"
SECRET = "s3cr3t"
# What the page on traces names.
NAMED = set(re.findall(r"`([a-z._]+)`", (ROOT / "docs/traces.md").read_text(encoding="utf-8")))


class Traces:
    """Spans that have ended, and what makes them."""

    def __init__(self, sampler: Sampler = DEFAULT_ON) -> None:
        self._ended = InMemorySpanExporter()
        provider = TracerProvider(sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._ended))
        self.tracer = provider.get_tracer("tests")
        self.connect = partial(TracedConnection, spans=ServerSpans(self.tracer))

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return self._ended.get_finished_spans()

    @property
    def only(self) -> ReadableSpan:
        (span,) = self.ended
        return span


def said_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids_of(span: ReadableSpan) -> tuple[str, str]:
    known = span.get_span_context()
    assert known is not None
    return trace.format_trace_id(known.trace_id), trace.format_span_id(known.span_id)


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else trace.format_span_id(span.parent.span_id)


async def greet(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def crash(_request: web.Request) -> web.Response:
    raise ZeroDivisionError(SECRET)


async def refuse(_request: web.Request) -> web.Response:
    raise web.HTTPBadGateway


async def have_no_keys(_request: web.Request) -> web.Response:
    raise KeysUnavailableError(retry_after=1)


ROWS = (
    *ROUTES,
    get("/things/{id}", greet, public),
    get("/crash", crash, public),
    get("/refuse", refuse, public),
    get("/no-keys", have_no_keys, public),
)


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
async def client(make_client: MakeClient, traces: Traces) -> Client:
    return await make_client(ROWS, connect=traces.connect)


def ask(target: str, *lines: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: x", *lines, "", ""]).encode()


GRANTED = f"Authorization: Bearer {token()}"
LIMITED = f"Authorization: Bearer {token(scope='x')}"
EXPIRED = f"Authorization: Bearer {token(exp=1)}"
PRIVATE = {"http.route": "/api/private", "url.path": "/api/private"}
SCOPED = {"http.route": "/api/private-scoped", "url.path": "/api/private-scoped"}

OUTCOMES: dict[str, tuple[bytes, str, int, dict[str, Any]]] = {
    "200": (ask("/api/private", GRANTED), "GET /api/private", 200, {**PRIVATE, "auth.outcome": "granted"}),
    "401": (ask("/api/private", EXPIRED), "GET /api/private", 401, {**PRIVATE, "auth.outcome": "refused", "auth.reason": "expired"}),
    "403": (ask("/api/private-scoped", LIMITED), "GET /api/private-scoped", 403, {**SCOPED, "auth.outcome": "refused", "auth.reason": "insufficient_scope"}),
    "a template": (ask("/things/7"), "GET /things/{id}", 200, {"http.route": "/things/{id}", "url.path": "/things/7"}),
    "404": (ask("/nothing"), "GET", 404, {"http.route": None, "url.path": "/nothing", "auth.outcome": "anonymous"}),
    "405": (ask("/api/private", method="DELETE"), "DELETE", 405, {"http.route": None, "http.request.method": "DELETE"}),
    "another method": (ask("/api/private", method="PROPFIND"), "HTTP", 405, {"http.request.method": "_OTHER", "http.request.method_original": "PROPFIND"}),
    "an expectation": (ask("/api/private", "Expect: x"), "GET", 417, {"http.route": None, "url.path": "/api/private"}),
    "500": (ask("/crash"), "GET /crash", 500, {"error.type": "ZeroDivisionError"}),
    "502": (ask("/refuse"), "GET /refuse", 502, {"error.type": "502"}),
    "503": (ask("/no-keys"), "GET /no-keys", 503, {"error.type": "503", "auth.outcome": "unavailable", "auth.reason": "keys_unavailable"}),
    "a version": (ask("/api/private", version="2.0"), "GET", 505, {"network.protocol.version": "2.0"}),
    "no HTTP": (b"hello\r\n\r\n", "HTTP", 400, {"http.request.method": "_OTHER", "url.path": None, "auth.outcome": "anonymous"}),
    "an impossible host": (b"GET http://xn--/a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP", 400, {"http.request.method": "_OTHER", "url.path": None}),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "name", "status", "attributes"), OUTCOMES.values(), ids=OUTCOMES)
async def test_every_request_is_a_span_that_says_what_became_of_it(
    client: Client, traces: Traces, sent: bytes, name: str, status: int, attributes: dict[str, Any]
) -> None:
    answer = await send(client, sent.replace(b" HTTP/1.1", b"?q=s3cr3t HTTP/1.1", 1))

    span = traces.only
    said = said_of(span)
    assert answer.status == said["http.response.status_code"] == status
    assert (span.kind, span.name) == (SpanKind.SERVER, name)
    assert {each: said.get(each) for each in attributes} == attributes
    assert (
        (span.status.status_code is StatusCode.ERROR) == (status >= 500) == ("error.type" in said)
    )
    assert SECRET not in span.to_json()
    assert "eyJ" not in span.to_json()
    assert said.keys() <= NAMED


async def test_a_span_says_who_asked_whom_for_what(client: Client, traces: Traces) -> None:
    await client.get("/api/public?a=b", headers={"User-Agent": "tester/1"})

    assert said_of(traces.only) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/api/public",
        "url.path": "/api/public",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": client.server.port,
        "client.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "tester/1",
        "auth.outcome": "anonymous",
    }


HOSTS: dict[str, tuple[str, tuple[str, int | None]]] = {
    "a name": ("Host: API.example", ("api.example", 80)),
    "a name and a port": ("Host: api.example:8080", ("api.example", 8080)),
    "an address": ("Host: [::1]:8080", ("::1", 8080)),
    "none": ("X: y", ("127.0.0.1", None)),
    "an impossible port": ("Host: x:y", ("127.0.0.1", None)),
}


@pytest.mark.parametrize(("line", "server"), HOSTS.values(), ids=HOSTS)
async def test_the_server_is_who_was_asked_for(
    client: Client, traces: Traces, line: str, server: tuple[str, int | None]
) -> None:
    await send(client, f"GET /api/public HTTP/1.0\r\n{line}\r\n\r\n".encode())

    said = said_of(traces.only)
    address, port = server
    assert said["server.address"] == address
    assert said["server.port"] == (port or client.server.port)


async def test_what_is_no_text_is_made_one(client: Client, traces: Traces) -> None:
    raw = b"GET /api/public HTTP/1.1\r\nHost: \xff\r\nUser-Agent: \xff\r\n\r\n"

    await send(client, raw)

    said_of(traces.only)["user_agent.original"].encode()
    said_of(traces.only)["server.address"].encode()


async def test_the_trace_of_a_caller_goes_on(
    client: Client, traces: Traces, log: list[EventDict]
) -> None:
    await client.get("/api/public", headers={"traceparent": CALLER, "tracestate": "a=b"})

    span = traces.only
    assert ids_of(span)[0] == TRACE
    assert parent_of(span) == SPAN
    assert span.context is not None
    assert span.context.trace_state.to_header() == "a=b"
    assert (log[-1]["trace_id"], log[-1]["span_id"]) == ids_of(span)


async def test_without_a_caller_a_trace_begins(
    client: Client, traces: Traces, log: list[EventDict]
) -> None:
    await send(client, b"hello\r\n\r\n")

    assert parent_of(traces.only) is None
    assert (log[-1]["trace_id"], log[-1]["span_id"]) == ids_of(traces.only)


@pytest.mark.parametrize(
    "lines",
    [
        "traceparent: " + "x" * 9000,
        "baggage: " + "x" * 9000,
        "baggage: \xff",
        "baggage: x",
        f"traceparent: {CALLER}\r\ntracestate: {'x' * 600}",
        f"traceparent: {CALLER}\r\ntracestate: ?",
        "traceparent: \xff",
    ],
)
async def test_what_is_no_trace_fails_no_request_and_is_not_repeated(
    client: Client,
    traces: Traces,
    log: list[EventDict],
    caplog: pytest.LogCaptureFixture,
    lines: str,
) -> None:
    answer = await send(client, ask("/api/public", lines))

    assert answer.status == 200
    assert traces.only
    assert not [each for each in caplog.records if "opentelemetry" in each.name]


async def test_a_propagator_gets_no_blanks_to_look_through(client: Client) -> None:
    # It splits a baggage by an expression that takes the square of their number.
    got: list[list[str] | None] = []

    class Reader(type(propagate.get_global_textmap())):  # type: ignore[misc]
        def extract(self, carrier: Any, context: Any, getter: Any) -> Any:
            got.append(getter.get(carrier, "baggage"))
            return context

    usual = propagate.get_global_textmap()
    propagate.set_global_textmap(Reader([]))
    try:
        sent = f"baggage: a=b{' ' * 4000},\tc=d{' ' * 4000}x"
        assert (await send(client, ask("/api/public", sent))).status == 200
    finally:
        propagate.set_global_textmap(usual)

    assert got == [["a=b , c=d x"]]


async def test_a_propagator_that_fails_costs_the_caller_his_trace(
    client: Client, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(type(propagate.get_global_textmap())):  # type: ignore[misc]
        def extract(self, *_arguments: Any, **_more: Any) -> Any:
            raise ValueError

    usual = propagate.get_global_textmap()
    propagate.set_global_textmap(Broken([]))
    try:
        assert (await client.get("/api/public", headers={"traceparent": CALLER})).status == 200
    finally:
        propagate.set_global_textmap(usual)

    assert parent_of(traces.only) is None


async def test_spans_of_handlers_are_children_and_nothing_leaks_into_the_next_request(
    make_client: MakeClient, traces: Traces
) -> None:
    baggage = []

    async def work(_request: web.Request) -> web.Response:
        baggage.append(dict(get_all()))
        with traces.tracer.start_as_current_span("work"):
            await asyncio.sleep(0)
        return web.Response()

    client = await make_client((get("/work", work, public),), connect=traces.connect)
    first = ask("/work", f"traceparent: {CALLER}", "baggage: a=b", "Content-Length: 0")
    async with connected(client) as (reader, writer):
        for each in (first, ask("/work", "Connection: close")):
            writer.write(each)
        await reader.read()

    child, parent, other_child, other_parent = traces.ended
    assert [span.name for span in traces.ended] == ["work", "GET /work"] * 2
    assert parent_of(child) == ids_of(parent)[1]
    assert parent_of(other_child) == ids_of(other_parent)[1]
    assert parent_of(other_parent) is None
    assert baggage == [{"a": "b"}, {}]
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_request_that_stopping_cuts_off_ends_its_span(
    make_client: MakeClient, traces: Traces, log: list[EventDict]
) -> None:
    entered = asyncio.Event()

    async def stuck(_request: web.Request) -> web.Response:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    client = await make_client((get("/stuck", stuck, public),), connect=traces.connect)
    asking = asyncio.create_task(client.get("/stuck"))
    await entered.wait()
    await client.server.close()
    await asyncio.gather(asking, return_exceptions=True)

    said = said_of(traces.only)
    assert traces.only.name == "GET /stuck"
    assert said["error.type"] == "CancelledError"
    assert "http.response.status_code" not in said
    assert [line["span_id"] for line in log if line["event"] == "request"] == [
        ids_of(traces.only)[1]
    ]


async def test_half_an_answer_is_one_span(make_client: MakeClient, traces: Traces) -> None:
    async def begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise ZeroDivisionError(SECRET)

    client = await make_client((get("/half", begin, public),), connect=traces.connect)
    async with connected(client) as (reader, writer):
        writer.write(ask("/half"))
        await reader.read()

    assert said_of(traces.only)["http.response.status_code"] == 500
    assert said_of(traces.only)["error.type"] == "MidAnswerError"


async def test_what_is_not_sampled_is_not_sent_and_has_its_line_all_the_same(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    traces = Traces(ALWAYS_OFF)
    client = await make_client(connect=traces.connect)

    await client.get("/api/private", headers={"traceparent": CALLER})

    assert not traces.ended
    assert log[-1]["trace_id"] == TRACE
    assert log[-1]["span_id"] != SPAN
