from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from server.web import authenticated, get, post, route
from server.web.cors import CorsSettings
from tests.conftest import Client, MakeClient

ORIGIN = "https://app.example"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}


async def nothing(_request: web.Request) -> web.Response:
    return web.Response()


@pytest.fixture
async def client(make_client: MakeClient) -> Client:
    return await make_client(cors={"origins": [ORIGIN]})


async def test_a_preflight_passes_without_a_token(client: Client) -> None:
    response = await client.options(
        "/api/private",
        headers=PREFLIGHT | {"Access-Control-Request-Headers": "authorization, x-custom"},
    )

    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert response.headers["Access-Control-Allow-Headers"] == "authorization, x-custom"
    assert response.headers["Vary"] == "Origin"
    assert "X-Request-Id" in response.headers


@pytest.mark.parametrize("asked", ["", "a b", "é", "x" * 10 + ":"])
async def test_headers_that_are_no_names_are_not_repeated(client: Client, asked: str) -> None:
    response = await client.options(
        "/api/private", headers=PREFLIGHT | {"Access-Control-Request-Headers": asked}
    )

    assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"


@pytest.mark.parametrize("path", ["/api/public", "/api/private", "/nothing"])
async def test_every_answer_may_be_read_errors_too(client: Client, path: str) -> None:
    response = await client.get(path, headers={"Origin": ORIGIN})

    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = response.headers["Access-Control-Expose-Headers"]
    assert set(exposed.split(", ")) == {"WWW-Authenticate", "X-Request-Id", "Retry-After"}


@pytest.mark.parametrize("origin", ["https://evil.example", "https://app.example.evil", "null", ""])
async def test_another_origin_may_not(client: Client, origin: str) -> None:
    answer = await client.get("/api/public", headers={"Origin": origin})
    preflight = await client.options("/api/private", headers=PREFLIGHT | {"Origin": origin})

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"
    assert preflight.status == 405


async def test_any_origin_may_if_the_settings_say_so(make_client: MakeClient) -> None:
    client = await make_client(cors={"origins": ["*"]})

    response = await client.get("/api/public", headers={"Origin": "https://any.example"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in response.headers


async def test_without_origins_there_is_no_cors(make_client: MakeClient) -> None:
    client = await make_client()

    assert (await client.options("/api/private", headers=PREFLIGHT)).status == 405
    response = await client.get("/api/public", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Vary" not in response.headers


async def test_options_that_is_no_preflight_is_a_method_like_others(client: Client) -> None:
    assert (await client.options("/api/private", headers={"Origin": ORIGIN})).status == 405


async def test_a_preflight_for_a_path_that_nobody_has_is_not_found(client: Client) -> None:
    assert (await client.options("/nothing", headers=PREFLIGHT)).status == 404


async def test_a_preflight_passes_where_the_table_has_a_route_for_options(
    make_client: MakeClient,
) -> None:
    rows = (
        route("OPTIONS", "/x", nothing, authenticated),
        get("/x", nothing, authenticated),
        post("/x", nothing, authenticated),
    )
    client = await make_client(rows, cors={"origins": [ORIGIN]})

    response = await client.options("/x", headers=PREFLIGHT)

    assert response.status == 204
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS, POST"
    assert (await client.options("/x")).status == 401


@pytest.mark.parametrize(
    "origin", ["app.example", "https://app.example/", "https://app.example/path", "ftp://x", 5]
)
def test_what_is_no_origin_is_refused(origin: Any) -> None:
    with pytest.raises(ValidationError):
        CorsSettings.model_validate({"origins": [origin]})
