import asyncio
from typing import Any

import pytest
from aiohttp import web
from structlog.typing import EventDict

from server.oauth.errors import InsufficientScopeError
from server.web import get, post, public
from tests.conftest import Client, MakeClient


async def test_a_path_that_nobody_has_is_a_problem(client: Client) -> None:
    response = await client.get("/nothing")

    assert response.status == 404
    assert response.content_type == "application/problem+json"
    assert await response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Nothing matches the given URI",
        "request_id": response.headers["X-Request-Id"],
    }


async def test_a_method_that_the_route_does_not_have_is_told_which_it_has(client: Client) -> None:
    response = await client.post("/api/private")

    assert response.status == 405
    assert response.headers["Allow"] == "GET,HEAD"
    assert "WWW-Authenticate" not in response.headers


async def serving(make_client: MakeClient, error: BaseException) -> Client:
    async def handler(_request: web.Request) -> web.Response:
        raise error

    return await make_client((get("/x", handler, public),))


async def test_a_crash_is_a_problem_without_a_word_of_its_cause(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    client = await serving(make_client, RuntimeError("the secret of the house"))

    response = await client.get("/x")

    assert response.status == 500
    assert "secret" not in await response.text()
    crash, line = log[-2:]
    assert crash["event"] == "server.error"
    assert crash["exc_info"]
    assert crash["request_id"] == response.headers["X-Request-Id"]
    assert (line["event"], line["log_level"]) == ("request", "error")


async def test_a_handler_that_answers_nothing_is_a_crash(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    async def handler(_request: web.Request) -> None:
        return None

    client = await make_client((get("/x", handler, public),))  # type: ignore[arg-type]

    assert (await client.get("/x")).status == 500


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (web.HTTPConflict(), "Request conflict"),
        (
            web.HTTPConflict(text="The message was changed meanwhile"),
            "The message was changed meanwhile",
        ),
        (web.HTTPUnprocessableEntity(text="No subject"), "No subject"),
    ],
    ids=str,
)
async def test_what_a_handler_raises_is_a_problem_with_its_words(
    make_client: MakeClient, error: web.HTTPException, detail: str | None
) -> None:
    client = await serving(make_client, error)

    response = await client.get("/x")

    assert response.status == error.status
    assert (await response.json()).get("detail") == detail


async def test_the_headers_of_what_a_handler_raises_are_kept(make_client: MakeClient) -> None:
    client = await serving(make_client, web.HTTPTooManyRequests(headers={"Retry-After": "5"}))

    response = await client.get("/x")

    assert response.headers["Retry-After"] == "5"
    assert response.headers.getall("Content-Type") == ["application/problem+json"]


async def test_a_redirect_is_no_problem(make_client: MakeClient) -> None:
    client = await serving(make_client, web.HTTPFound("/elsewhere"))

    response = await client.get("/x", allow_redirects=False)

    assert response.status == 302
    assert response.headers["Location"] == "/elsewhere"
    assert "X-Request-Id" in response.headers


async def test_a_handler_may_ask_for_more_itself(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    client = await serving(make_client, InsufficientScopeError(scopes=["admin"], missing=["admin"]))

    response = await client.get("/x")

    assert response.status == 403
    assert 'scope="admin"' in response.headers["WWW-Authenticate"]
    assert log[-1]["auth.scopes_missing"] == ["admin"]


async def test_an_unknown_status_still_has_a_title(make_client: MakeClient) -> None:
    class Odd(web.HTTPClientError):
        status_code = 499

    client = await serving(make_client, Odd(reason="Odd"))

    assert (await (await client.get("/x")).json())["title"] == "Error"


async def test_an_unknown_expectation_is_not_echoed(client: Client, log: list[EventDict]) -> None:
    response = await client.get(
        "/api/public", headers={"Expect": "a-miracle", "X-Request-Id": "mine"}
    )

    assert response.status == 417
    assert "miracle" not in await response.text()
    assert (await response.json())["request_id"] == response.headers["X-Request-Id"] == "mine"
    assert (log[-1]["http.request.method"], log[-1]["url.path"]) == ("GET", "/api/public")


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_crash(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    reading, left = asyncio.Event(), asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        reading.set()
        try:
            return web.Response(body=await request.read())
        finally:
            left.set()

    client = await make_client((post("/x", handler, public),))
    _reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this")
    await reading.wait()
    writer.transport.abort()
    await left.wait()
    await client.get("/nothing")

    assert "server.error" not in [event["event"] for event in log]
    assert [event["log_level"] for event in log if event["url.path"] == "/x"] == ["info"]


async def half(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"half an answer")
    return response


async def crashes(request: web.Request) -> web.StreamResponse:
    await half(request)
    raise RuntimeError("in the middle")


async def refuses(request: web.Request) -> web.StreamResponse:
    await half(request)
    raise web.HTTPNotFound


async def redirects(request: web.Request) -> web.StreamResponse:
    await half(request)
    raise web.HTTPFound("/elsewhere")


async def answers_twice(request: web.Request) -> web.StreamResponse:
    await half(request)
    return web.Response(text="another answer")


async def times_out(request: web.Request) -> web.StreamResponse:
    await web.StreamResponse().prepare(request)
    raise TimeoutError


@pytest.mark.parametrize("handler", [crashes, refuses, redirects, answers_twice, times_out])
async def test_what_goes_wrong_in_the_middle_of_an_answer_cuts_it_off(
    make_client: MakeClient, log: list[EventDict], handler: Any
) -> None:
    client = await make_client((get("/x", handler, public),))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")

    answer = await reader.read()
    writer.close()

    _head, _, body = answer.partition(b"\r\n\r\n")
    assert answer.count(b"HTTP/1.1") <= 1
    assert not body.endswith(b"0\r\n\r\n"), "nobody takes it for whole"
    crash, line = log
    assert (crash["event"], line["event"]) == ("server.error", "request")
    assert crash["exc_info"]
    assert line["log_level"] == "error"
    assert crash["request_id"] == line["request_id"]


async def test_a_client_that_leaves_in_the_middle_of_its_answer_is_no_crash(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    left = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await half(request)
        await left.wait()
        for _ in range(1000):
            await response.write(b"x" * 10_000)
        return response

    client = await make_client((get("/x", handler, public),))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"half an answer")
    writer.transport.abort()
    left.set()
    while not log:
        await client.get("/nothing")

    (line,) = [event for event in log if event["url.path"] == "/x"]
    assert (line["http.response.status_code"], line["log_level"]) == (200, "info")
    assert "server.error" not in [event["event"] for event in log]


class NoWay(web.UrlDispatcher):
    """A router that fails before there is a route."""

    async def resolve(self, request: web.Request) -> web.UrlMappingMatchInfo:
        raise RuntimeError("no way")


async def test_a_crash_before_any_handler_is_a_problem(
    client: Client, log: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.app, "_router", NoWay())

    response = await client.get("/api/public")

    assert response.status == 500
    assert (await response.json())["request_id"] == response.headers["X-Request-Id"]
    assert [event["event"] for event in log] == ["server.error", "request"]
