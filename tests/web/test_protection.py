"""What the client sees: statuses, challenges, problem documents."""

from typing import Any

import pytest
from aiohttp import ClientResponse, web
from structlog.typing import EventDict

from server.oauth.errors import KeysUnavailableError
from server.web import ACCESS_TOKEN, authenticated, get, permission, post, public, scope
from tests.conftest import Client, MakeClient
from tests.fakes import StaticKeys
from tests.minting import token, unsigned

Headers = list[tuple[str, str]]

COARSE = "The access token is malformed or was not issued for this API"


def bearer(compact: str | None = None) -> Headers:
    return [("Authorization", f"Bearer {compact or token()}")]


async def ask(client: Client, path: str, headers: Headers | None = None) -> ClientResponse:
    return await client.get(path, headers=headers or [])


async def test_anyone_may_have_what_is_public(client: Client) -> None:
    response = await ask(client, "/api/public")

    assert response.status == 200
    assert "message" in await response.json()


async def test_on_a_public_route_no_token_is_looked_at(
    client: Client, log: list[EventDict]
) -> None:
    assert (await ask(client, "/api/public", bearer("junk"))).status == 200
    assert log[-1]["auth.outcome"] == "anonymous"


async def test_a_valid_token_opens_the_private_route(client: Client) -> None:
    response = await ask(client, "/api/private", bearer())

    assert response.status == 200
    body = await response.json()
    assert body["subject"] == "user-1"
    assert body["scopes"] == ["read:messages"]
    assert body["message"]


async def test_without_a_token_the_challenge_is_bare(client: Client) -> None:
    response = await ask(client, "/api/private")

    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="quickstart"'
    assert response.headers["Cache-Control"] == "no-store"
    assert response.content_type == "application/problem+json"
    assert await response.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "This resource needs an access token",
        "request_id": response.headers["X-Request-Id"],
    }


async def test_without_the_scope_the_challenge_names_it(client: Client) -> None:
    response = await ask(client, "/api/private-scoped", bearer(token(scope="other")))

    description = "The access token does not grant what this resource requires"
    assert response.status == 403
    assert response.headers["WWW-Authenticate"] == (
        'Bearer realm="quickstart", error="insufficient_scope", '
        f'error_description="{description}", scope="read:messages"'
    )
    assert await response.json() == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": description,
        "error": "insufficient_scope",
        "scope": "read:messages",
        "request_id": response.headers["X-Request-Id"],
    }


REFUSED: dict[str, tuple[Headers, int, str | None, str]] = {
    "an empty header": ([("Authorization", "")], 401, None, "missing_token"),
    "a scheme alone": ([("Authorization", "Bearer")], 401, None, "missing_token"),
    "another scheme": ([("Authorization", "Basic YTpi")], 401, None, "missing_token"),
    "a cookie": ([("Cookie", f"access_token={token()}")], 401, None, "missing_token"),
    "another header": ([("X-Forwarded-Authorization", f"Bearer {token()}")], 401, None, "missing_token"),
    "two words": (bearer("x abc"), 401, "invalid_token", "malformed"),
    "a comma": (bearer("a,b"), 401, "invalid_token", "malformed"),
    "letters that are not ASCII": ([("Authorization", "Bearer é")], 401, "invalid_token", "malformed"),
    "a large token": (bearer("x" * 9000), 401, "invalid_token", "token_too_large"),
    "no algorithm": (bearer(unsigned({"alg": "none"}, {"iss": "https://issuer.example/"})), 401, "invalid_token", "algorithm_not_allowed"),
    "an unknown issuer": (bearer(token(iss="https://evil.example/")), 401, "invalid_token", "untrusted_issuer"),
    "an expired token": (bearer(token(exp=1)), 401, "invalid_token", "expired"),
    "a token to come": (bearer(token(nbf=2**40)), 401, "invalid_token", "not_yet_valid"),
    "another audience": (bearer(token(aud="x")), 401, "invalid_token", "wrong_audience"),
    "two lines": (bearer() + bearer(), 400, "invalid_request", "invalid_request"),
    "two schemes": (bearer(f"{token()}, Bearer {token()}"), 400, "invalid_request", "invalid_request"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "status", "error", "reason"), REFUSED.values(), ids=REFUSED.keys()
)
async def test_what_is_no_sound_token_is_refused(
    client: Client,
    log: list[EventDict],
    headers: Headers,
    status: int,
    error: str | None,
    reason: str,
) -> None:
    response = await ask(client, "/api/private", headers)

    body = await response.json()
    challenge = response.headers["WWW-Authenticate"]
    assert response.status == body["status"] == status
    assert body.get("error") == error
    assert ("error=" in challenge) == (error is not None)
    if error:
        assert f'error="{error}", error_description="{body["detail"]}"' in challenge
    (line,) = [event for event in log if event["event"] == "request"]
    assert (line["auth.outcome"], line["auth.reason"]) == ("refused", reason)
    assert line["log_level"] == "info"
    assert response.headers["Cache-Control"] == "no-store"


async def test_a_token_beside_the_header_is_an_invalid_request(client: Client) -> None:
    response = await ask(client, f"/api/private?access_token={token()}", bearer())

    assert response.status == 400
    assert (await response.json())["error"] == "invalid_request"


async def test_a_token_in_the_query_alone_is_no_token_and_in_no_log(
    client: Client, log: list[EventDict]
) -> None:
    compact = token()

    response = await ask(client, f"/api/private?access_token={compact}")

    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="quickstart"'
    assert compact.split(".")[1] not in str(log)


async def echo(request: web.Request) -> web.Response:
    return web.Response(text=await request.text())


FORMS = {
    b"access_token=x": 400,
    b"a=b&access_token=x": 400,
    b"access_token": 400,
    b"access_token&a=b": 400,
    b"%61ccess%5Ft%6fken=x": 400,
    b"a=b": 200,
    b"a=access_token": 200,
    b"my_access_token=x": 200,
    b"access_tokens=x": 200,
    b"a&" * 400_000: 200,
    b"": 200,
}


async def test_a_token_in_a_form_beside_the_header_is_an_invalid_request(
    make_client: MakeClient,
) -> None:
    client = await make_client((post("/form", echo, authenticated),))

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body, status in FORMS.items():
        response = await client.post("/form", data=body, headers=[*bearer(), *form.items()])
        assert (body, response.status) == (body, status)
    assert (await client.post("/form", json={"access_token": "x"}, headers=bearer())).status == 200


async def test_a_packed_body_is_not_unpacked(make_client: MakeClient) -> None:
    client = await make_client((post("/x", echo, authenticated), post("/open", echo, public)))
    packed = {"Content-Encoding": "gzip"}
    twice = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    assert (await client.post("/open", data=b"x", headers=twice)).status == 415

    assert (await client.post("/x", data=b"x", headers=packed)).status == 401
    for path in ("/x", "/open"):
        response = await client.post(path, data=b"x", headers=[*bearer(), *packed.items()])
        assert response.status == 415
        assert response.headers["Accept-Encoding"] == "identity"


async def test_a_form_is_still_there_for_the_handler(make_client: MakeClient) -> None:
    client = await make_client((post("/form", echo, authenticated),))

    response = await client.post("/form", data={"a": "b"}, headers=bearer())

    assert await response.text() == "a=b"


class UnavailableKeys(StaticKeys):
    async def find(self, token: object, *, may_ask: bool) -> Any:
        raise KeysUnavailableError(retry_after=6.2)


@pytest.fixture
def keys(request: pytest.FixtureRequest) -> StaticKeys:
    return UnavailableKeys() if "cannot_be_judged" in request.node.name else StaticKeys()


async def test_a_token_that_cannot_be_judged_is_asked_to_come_again(
    client: Client, log: list[EventDict]
) -> None:
    response = await ask(client, "/api/private", bearer())

    assert response.status == 503
    assert "WWW-Authenticate" not in response.headers
    assert response.headers["Retry-After"] == "7"
    assert response.headers["Cache-Control"] == "no-store"
    assert "error" not in await response.json()
    assert log[-1]["auth.outcome"] == "unavailable"
    assert log[-1]["auth.reason"] == "keys_unavailable"
    assert log[-1]["log_level"] == "warning"


async def test_head_follows_the_rule_of_get(client: Client) -> None:
    assert (await client.head("/api/private")).status == 401
    response = await client.head("/api/private", headers=bearer())
    assert response.status == 200
    assert await response.read() == b""


async def test_the_handler_finds_the_verified_token(make_client: MakeClient) -> None:
    async def whoami(request: web.Request) -> web.Response:
        return web.json_response(dict(request[ACCESS_TOKEN].claims))

    client = await make_client((get("/whoami", whoami, scope("read:messages")),))

    assert (await (await ask(client, "/whoami", bearer())).json())["jti"] == "token-1"


async def test_a_requirement_without_a_scope_names_none(make_client: MakeClient) -> None:
    client = await make_client((get("/x", echo, permission("read")),))

    response = await ask(client, "/x", bearer())

    assert response.status == 403
    assert "scope=" not in response.headers["WWW-Authenticate"]
    assert "scope" not in await response.json()


PATHS = ["/api/private/", "/API/private", "/api//private", "/api/private;x", "/api/%2e%2e/api/private%00", "/api\\private"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_written_in_another_way_never_meets_a_weaker_rule(
    client: Client, path: str
) -> None:
    assert (await client.get(path)).status in {401, 404}


async def test_a_method_override_is_not_read(make_client: MakeClient) -> None:
    client = await make_client((get("/x", echo, authenticated), post("/x", echo, public)))

    response = await client.get("/x", headers={"X-HTTP-Method-Override": "POST"})

    assert response.status == 401
