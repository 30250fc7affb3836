import re
from typing import Any

import pytest
from aiohttp import web
from structlog.typing import EventDict

from server.web import authenticated, post
from tests.conftest import Client, MakeClient
from tests.fakes import StaticKeys
from tests.minting import claims, header, token, unsigned

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def bearer(compact: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {compact}"}


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def line_of(client: Client, log: list[EventDict], path: str, **headers: Any) -> EventDict:
    log.clear()
    await client.get(path, headers=headers)
    (line,) = [event for event in log if event["event"] == "request"]
    return line


async def test_a_granted_request_leaves_all_that_is_known(
    client: Client, log: list[EventDict]
) -> None:
    line = await line_of(
        client, log, "/api/private-scoped?a=b", **bearer(token()), **{"User-Agent": "tester/1"}
    )

    assert isinstance(line.pop("duration_ms"), float)
    assert re.fullmatch(r"[0-9a-f]{24}", line.pop("request_id"))
    assert line == {
        "event": "request",
        "log_level": "info",
        "http.request.method": "GET",
        "url.path": "/api/private-scoped",
        "http.route": "/api/private-scoped",
        "http.response.status_code": 200,
        "client.address": "127.0.0.1",
        "user_agent.original": "tester/1",
        "auth.outcome": "granted",
        "auth.issuer": "https://issuer.example/",
        "auth.subject": "user-1",
        "auth.client_id": "client-1",
        "auth.token_id": "token-1",
        "auth.kid": "RSA-main",
        "auth.alg": "RS256",
        "auth.cached": False,
    }


async def test_a_token_seen_before_is_marked(client: Client, log: list[EventDict]) -> None:
    await line_of(client, log, "/api/private", **bearer(token()))

    assert (await line_of(client, log, "/api/private", **bearer(token())))["auth.cached"] is True


async def test_a_forged_token_leaves_nothing_that_it_claims(
    client: Client, log: list[EventDict]
) -> None:
    forged = unsigned(header(), claims(sub="victim", jti="x"))

    line = await line_of(client, log, "/api/private", **bearer(forged))

    auth = {name: value for name, value in line.items() if name.startswith("auth.")}
    assert auth == {
        "auth.outcome": "refused",
        "auth.reason": "bad_signature",
        "auth.issuer": "https://issuer.example/",
        "auth.kid": "RSA-main",
        "auth.alg": "RS256",
    }


async def test_a_token_of_a_stranger_does_not_name_its_issuer(
    client: Client, log: list[EventDict]
) -> None:
    line = await line_of(client, log, "/api/private", **bearer(token(iss="https://evil.example/")))

    assert "auth.issuer" not in line


async def test_a_refusal_after_the_signature_names_the_subject_and_what_is_missing(
    client: Client, log: list[EventDict]
) -> None:
    line = await line_of(client, log, "/api/private-scoped", **bearer(token(scope="x")))

    assert line["auth.reason"] == "insufficient_scope"
    assert line["auth.subject"] == "user-1"
    assert line["auth.scopes_missing"] == ["read:messages"]


async def test_a_token_sent_in_a_form_too_leaves_whose_it_is(
    make_client: MakeClient, log: list[EventDict]
) -> None:
    client = await make_client((post("/x", echo, authenticated),))

    await client.post("/x", data={"access_token": "x"}, headers=bearer(token()))

    assert log[-1]["auth.reason"] == "invalid_request"
    assert log[-1]["auth.subject"] == "user-1"


@pytest.mark.parametrize("path", ["/nothing", "/api/public"])
async def test_where_no_token_is_asked_for_the_outcome_is_anonymous(
    client: Client, log: list[EventDict], path: str
) -> None:
    line = await line_of(client, log, path, **bearer(token()))

    assert line["auth.outcome"] == "anonymous"
    assert ("http.route" in line) == (path == "/api/public")


async def test_a_method_that_is_not_allowed_is_anonymous(
    client: Client, log: list[EventDict]
) -> None:
    await client.post("/api/private")

    assert log[-1]["auth.outcome"] == "anonymous"
    assert log[-1]["http.response.status_code"] == 405


@pytest.mark.parametrize("sent", ["abc-1._", "A" * 128])
async def test_a_request_id_that_is_fit_is_kept(
    client: Client, log: list[EventDict], sent: str
) -> None:
    response = await client.get("/api/public", headers={"X-Request-Id": sent})

    assert response.headers["X-Request-Id"] == log[-1]["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "A" * 129, "a b", "a\tb", "é", "a;b", "<script>"])
async def test_a_request_id_that_is_not_fit_is_replaced(client: Client, sent: str) -> None:
    response = await client.get("/api/public", headers={"X-Request-Id": sent})

    assert re.fullmatch(r"[0-9a-f]{24}", response.headers["X-Request-Id"])


async def test_a_trace_of_the_caller_is_taken_over(client: Client, log: list[EventDict]) -> None:
    line = await line_of(client, log, "/api/public", traceparent=f"00-{TRACE}-{SPAN}-01")

    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "traceparent",
    [
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        "x",
    ],
)
async def test_what_is_no_trace_is_not_taken(
    client: Client, log: list[EventDict], traceparent: str
) -> None:
    line = await line_of(client, log, "/api/public", traceparent=traceparent)

    assert "trace_id" not in line
    assert "span_id" not in line


async def test_a_path_is_logged_as_it_was_sent(client: Client, log: list[EventDict]) -> None:
    await client.get("/a%0Ab%1b")

    assert log[-1]["url.path"] == "/a%0Ab%1B"


async def test_every_answer_names_no_version(client: Client) -> None:
    for path in ("/api/public", "/api/private", "/nothing"):
        assert (await client.get(path)).headers["Server"] == "keyturn"


async def test_no_line_holds_a_token_whatever_came_of_it(
    make_client: MakeClient, keys: StaticKeys, log: list[EventDict]
) -> None:
    client = await make_client()
    tokens = [token(), token(exp=1), token(scope="x"), token(aud="x"), unsigned(header(), claims())]
    for each in tokens:
        for path in (
            "/api/public",
            "/api/private-scoped",
            "/nothing",
            f"/api/private?access_token={each}",
        ):
            await client.get(path, headers=bearer(each))

    written = str(log)

    assert len(log) == 20
    for each in tokens:
        for part in each.split(".")[1:]:
            assert part not in written
