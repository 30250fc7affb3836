"""What must be true of every route, whatever the table says."""

from collections.abc import Callable

import pytest
from aiohttp import web

from server.oauth.scope import ScopeRequirement
from server.routes import ROUTES
from server.web.routing import Public, Route
from tests.conftest import Client, MakeClient

PROTECTED = [row for row in ROUTES if isinstance(row.access, ScopeRequirement)]
PUBLIC = [row for row in ROUTES if isinstance(row.access, Public)]


@pytest.fixture
async def client(keyturn_client: MakeClient) -> Client:
    return await keyturn_client(ROUTES)


def name(row: Route) -> str:
    return f"{row.method} {row.path}"


def test_the_table_is_the_quickstarts() -> None:
    assert {name(row): str(row.access) for row in ROUTES} == {
        "GET /api/public": "anyone",
        "GET /api/private": "any valid token",
        "GET /api/private-scoped": "scope read:messages",
    }


@pytest.mark.parametrize("row", PROTECTED, ids=name)
async def test_a_protected_route_is_closed_to_strangers(client: Client, row: Route) -> None:
    response = await client.request(row.method, row.path)

    assert response.status == web.HTTPUnauthorized.status_code
    assert response.headers["WWW-Authenticate"].startswith("Bearer realm=")


@pytest.mark.parametrize("row", PROTECTED, ids=name)
async def test_a_protected_route_opens_to_a_token_that_grants_all(
    client: Client, bearer: Callable[..., dict[str, str]], row: Route
) -> None:
    assert isinstance(row.access, ScopeRequirement)

    response = await client.request(row.method, row.path, headers=bearer(row.access.scopes))

    assert response.status == 200


@pytest.mark.parametrize("row", PUBLIC, ids=name)
async def test_a_public_route_is_open(client: Client, row: Route) -> None:
    assert (await client.request(row.method, row.path)).status == 200
