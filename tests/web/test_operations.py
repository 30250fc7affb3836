import pytest
from pydantic import SecretStr
from pytest_aiohttp import AiohttpClient
from structlog.typing import EventDict

from server.jwks.fixed_key_set import FixedKeySet
from server.jwks.outcomes import Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.web.operations import operations_app
from tests.conftest import Client, KeyturnServer
from tests.fakes import FakeClock, FakeIssuer
from tests.minting import key_set

NAME = "https://issuer.example/"


class Operations:
    """The admin listener over one key set, and what moves it."""

    def __init__(self, clock: FakeClock) -> None:
        self.issuer = FakeIssuer(clock=clock)
        shared = SharedKeys(NAME, Store.open(SecretStr("memory://")), clock=clock)
        self.keys = RemoteKeySet(
            NAME, self.issuer.fetch, RefreshPolicy(), shared, now=clock, sleep=clock.sleep
        )
        self.draining = False
        self.app = operations_app(
            lambda: [self.keys], draining=lambda: self.draining, metrics=lambda _report: b""
        )


@pytest.fixture
def operations(clock: FakeClock, log: list[EventDict]) -> Operations:
    return Operations(clock)


async def ready(aiohttp_client: AiohttpClient, operations: Operations) -> tuple[int, object]:
    client: Client = await aiohttp_client(KeyturnServer(operations.app))
    response = await client.get("/readyz")
    return response.status, await response.json()


async def test_the_process_is_alive_without_keys(
    aiohttp_client: AiohttpClient, operations: Operations
) -> None:
    client: Client = await aiohttp_client(KeyturnServer(operations.app))

    assert (await client.get("/livez")).status == 200


async def test_without_keys_it_is_not_ready(
    aiohttp_client: AiohttpClient, operations: Operations
) -> None:
    assert await ready(aiohttp_client, operations) == (
        503,
        {"status": "not_ready", "issuers": [{"issuer": NAME, "state": "empty", "keys": 0}]},
    )


@pytest.mark.parametrize(
    ("age", "status", "word", "state"),
    [
        (1.5, 200, "ready", "fresh"),
        (400, 200, "ready", "stale"),
        (4000, 503, "not_ready", "expired"),
    ],
)
async def test_it_is_ready_as_long_as_the_keys_can_be_used(
    aiohttp_client: AiohttpClient,
    operations: Operations,
    clock: FakeClock,
    age: float,
    status: int,
    word: str,
    state: str,
) -> None:
    await operations.keys.refresh(Trigger.START)
    clock.time += age

    row = {"issuer": NAME, "state": state, "keys": 1, "age_seconds": age}
    assert await ready(aiohttp_client, operations) == (status, {"status": word, "issuers": [row]})


async def test_while_draining_it_is_not_ready(
    aiohttp_client: AiohttpClient, operations: Operations
) -> None:
    await operations.keys.refresh(Trigger.START)
    operations.draining = True

    status, body = await ready(aiohttp_client, operations)

    assert status == 503
    assert isinstance(body, dict)
    assert body["status"] == "draining"


async def test_a_refresh_that_is_forced_tells_what_became_of_it(
    aiohttp_client: AiohttpClient, operations: Operations, clock: FakeClock
) -> None:
    client: Client = await aiohttp_client(KeyturnServer(operations.app))
    answers = []
    for down in (False, True):
        operations.issuer.down = down
        response = await client.post("/jwks/refresh")
        assert response.status == 200
        answers.append(await response.json())

    assert [each["status"] for each in answers] == ["ready"] * 2
    assert [each["issuers"][0]["result"] for each in answers] == ["ok", "failed"]
    assert answers[0]["issuers"][0] == {
        "issuer": NAME,
        "state": "fresh",
        "keys": 1,
        "age_seconds": 0,
        "result": "ok",
    }
    assert operations.issuer.fetches == [True] * 2, "past the caches"


async def test_keys_that_are_configured_are_there_and_need_no_refresh(
    aiohttp_client: AiohttpClient, log: list[EventDict]
) -> None:
    keys = FixedKeySet(NAME, key_set())
    client: Client = await aiohttp_client(
        KeyturnServer(
            operations_app(lambda: [keys], draining=lambda: False, metrics=lambda _report: b"")
        )
    )

    row = {"issuer": NAME, "state": "fresh", "keys": 1}
    assert await (await client.get("/readyz")).json() == {"status": "ready", "issuers": [row]}
    answer = await (await client.post("/jwks/refresh")).json()
    assert answer["issuers"] == [row | {"result": "not_modified"}]
