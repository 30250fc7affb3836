"""What an operator's scraper finds after requests of which each is known."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from pytest_aiohttp import AiohttpClient, AiohttpServer
from structlog.typing import EventDict

from server import __version__
from server.app import Keyturn
from server.config import Config
from server.jwks.connection import open_session
from server.jwks.outcomes import Trigger
from server.serving import metrics_page
from server.vital_signs import Changes
from server.web.listener import Runner
from server.web.operations import operations_app
from tests.conftest import Client, KeyturnServer
from tests.minting import AUDIENCE, ISSUER, claims, header, public_jwk, sign
from tests.processes import free_ports
from tests.raw import send

DEAD = "https://dead.example/"


def token(protected: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(time.time())
    return sign(claims(iat=now, exp=now + 600) | changes, protected)


class Server:
    """The API over an issuer that publishes one key and one that is down; and what is told."""

    def __init__(self, keyturn: Keyturn, api: Client, admin: Client) -> None:
        self.keyturn = keyturn
        self.api = api
        self._admin = admin

    async def get(self, path: str, token: str = "", *, times: int = 1) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for _ in range(times):
            await self.api.get(path, headers=headers)

    async def scrape(self, *prefixes: str) -> dict[str, float]:
        """Give the series of these names: each by its name and its labels' values."""
        page = await (await self._admin.get("/metrics")).text()
        return {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name.startswith(prefixes)
        }


@pytest.fixture
async def server(
    aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient, log: list[EventDict]
) -> AsyncIterator[Server]:
    async def publish(_request: web.Request) -> web.Response:
        return web.json_response({"keys": [public_jwk()]})

    issuer = web.Application()
    issuer.router.add_get("/keys", publish)
    (closed,) = free_ports(1)
    config = Config.model_validate(
        {
            "audience": AUDIENCE,
            "issuers": [
                {
                    "issuer": ISSUER,
                    "audience": AUDIENCE,
                    "jwks_uri": str((await aiohttp_server(issuer)).make_url("/keys")),
                },
                {
                    "issuer": DEAD,
                    "audience": AUDIENCE,
                    "jwks_uri": f"http://127.0.0.1:{closed}/keys",
                },
            ],
        }
    )
    async with open_session() as session:
        keyturn = Keyturn(config, session)
        await keyturn.until_tried()
        served = KeyturnServer(keyturn.api)
        api: Client = await aiohttp_client(served)
        assert isinstance(served.runner, Runner)
        operations = operations_app(
            lambda: keyturn.keys, draining=bool, metrics=metrics_page(keyturn, served.runner)
        )
        admin: Client = await aiohttp_client(KeyturnServer(operations))
        yield Server(keyturn, api, admin)
        await keyturn.close()


async def test_each_request_is_found_by_what_became_of_it(server: Server) -> None:
    good, elsewhere = token(), token(aud="https://other.example")
    await server.get("/api/private", good, times=3)
    await server.get("/api/private-scoped", token(scope=""), times=2)
    await server.get("/api/private", elsewhere, times=4)
    await server.get("/api/private", times=5)
    await server.get("/api/private", token(iss=DEAD))
    await server.get("/api/public", times=2)
    await server.get("/nowhere/" + good, times=2)
    await send(server.api, b"rubbish\r\n\r\n")

    decided = await server.scrape("keyturn_auth_decisions_total")
    answered = await server.scrape("http_server_request_duration_seconds_count")

    assert decided == {
        f"keyturn_auth_decisions_total {ISSUER} granted ": 3,
        f"keyturn_auth_decisions_total {ISSUER} refused insufficient_scope": 2,
        f"keyturn_auth_decisions_total {ISSUER} refused wrong_audience": 4,
        "keyturn_auth_decisions_total  refused missing_token": 5,
        f"keyturn_auth_decisions_total {DEAD} unavailable keys_unavailable": 1,
        "keyturn_auth_decisions_total  anonymous ": 5,
    }
    assert answered == {
        "http_server_request_duration_seconds_count GET 200 /api/private": 3,
        "http_server_request_duration_seconds_count GET 403 /api/private-scoped": 2,
        "http_server_request_duration_seconds_count GET 401 /api/private": 9,
        "http_server_request_duration_seconds_count GET 503 /api/private": 1,
        "http_server_request_duration_seconds_count GET 200 /api/public": 2,
        "http_server_request_duration_seconds_count GET 404 ": 2,
        "http_server_request_duration_seconds_count _OTHER 400 ": 1,
    }


async def test_what_is_remembered_is_found(server: Server) -> None:
    good = token()
    await server.get("/api/private", good, times=4)
    await server.get("/api/private", token(jti="another"))

    found = await server.scrape("keyturn_token_cache", "http_server_active")

    assert found == {
        "keyturn_token_cache_entries": 2,
        "keyturn_token_cache_lookups_total hit": 3,
        "keyturn_token_cache_lookups_total miss": 2,
        "http_server_active_requests": 0,
    }


async def test_what_is_done_for_keys_is_found(server: Server) -> None:
    await server.keyturn.keys[0].refresh(Trigger.FORCED)
    stranger = token(header(kid="unheard-of"))
    await server.get("/api/private", stranger, times=3)

    found = await server.scrape("keyturn_jwks")

    times = {name: found.pop(name) for name in list(found) if "seconds" in name}
    assert {name: count for name, count in found.items() if count} == {
        f"keyturn_jwks_fetches_total {ISSUER} ok start": 1,
        f"keyturn_jwks_fetches_total {ISSUER} ok forced": 1,
        f"keyturn_jwks_fetches_total {ISSUER} ok unknown_key": 1,
        f"keyturn_jwks_fetches_total {DEAD} failed start": 1,
        f"keyturn_jwks_unknown_keys_total {ISSUER} refetched": 1,
        f"keyturn_jwks_unknown_keys_total {ISSUER} remembered": 2,
        f"keyturn_jwks_keys {ISSUER}": 1,
        f"keyturn_jwks_generation {ISSUER}": 1,
        f"keyturn_jwks_stale {DEAD}": 1,
    }
    assert len(found) == 2 * (4 * 3 + 4 + 3), "each is there, at 0, before anything happens"
    assert times[f"keyturn_jwks_age_seconds {ISSUER}"] < 60
    assert 3600 < times[f"keyturn_jwks_time_left_seconds {ISSUER}"] <= 3900
    assert times[f"keyturn_jwks_time_left_seconds {DEAD}"] == 0
    assert f"keyturn_jwks_age_seconds {DEAD}" not in times


async def test_the_state_of_the_server_is_found(server: Server) -> None:
    changes = Changes(server.keyturn.metrics)
    changes.starts.add()
    changes.rejected.add(2)

    found = await server.scrape("keyturn_ready", "keyturn_workers", "keyturn_worker_", "keyturn_co")
    build = await server.scrape("keyturn_build", "process_resident")

    assert found == {
        "keyturn_connections": 0,
        "keyturn_connections_refused_total": 0,
        "keyturn_ready": 0,
        "keyturn_workers": 1,
        "keyturn_worker_starts_total": 1,
        "keyturn_config_reloads_total applied": 0,
        "keyturn_config_reloads_total rejected": 2,
    }
    assert build[f"keyturn_build_info {__version__}"] == 1
    assert build["process_resident_memory_bytes"] > 0
