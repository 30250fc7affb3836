import json
import math
from typing import Any

import pytest
from aiocache import BaseCache
from pydantic import SecretStr
from structlog.typing import EventDict

from server.jwks.published import PublishedKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.oauth.keys import parse_jwks
from tests.fakes import FakeClock, settle
from tests.jwks.conftest import NEW, OLD, events
from tests.minting import ISSUER, key_set, public_jwk
from tests.processes import Redis

URL = "https://issuer.example/keys"
WALL = 1_800_000_000.0


class Wall:
    """The time of day, as one machine has it."""

    def __init__(self) -> None:
        self.time = WALL

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def shared(store: Store, wall: Wall, log: list[EventDict]) -> SharedKeys:
    return SharedKeys(ISSUER, store, clock=wall)


def published(**headers: str) -> PublishedKeySet:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PublishedKeySet(key_set(OLD), URL, named, asked_at=90)


async def share(shared: SharedKeys, keys: PublishedKeySet) -> None:
    shared.put(keys, now=100, keep_for=60)
    await settle()


async def test_what_one_process_shares_another_finds_with_its_age(
    shared: SharedKeys, store: Store, wall: Wall
) -> None:
    await share(shared, published(ETag='"a"', Cache_Control="max-age=60"))
    wall.time += 5

    # Its monotonic clock began elsewhere.
    found = await SharedKeys(ISSUER, store, clock=wall).get(now=7000)

    assert found is not None
    assert [key.key_id for key in found.keys.keys] == [OLD.kid]
    assert found.asked_at == pytest.approx(7000 - 10 - 5)
    assert found.conditions(URL) == {"If-None-Match": '"a"'}
    assert found.headers["Cache-Control"] == "max-age=60"


async def test_nothing_private_is_shared(shared: SharedKeys, store: Store) -> None:
    leaked: dict[str, Any] = {"kty": "oct", "k": "c2VjcmV0", "kid": "leak"}
    keys = parse_jwks(
        {"keys": [OLD.as_dict(private=True), leaked, public_jwk(NEW, x5u="https://x")]}
    )
    await share(shared, PublishedKeySet(keys, URL, {}, asked_at=90))

    record = json.loads(str(await store.get(ISSUER, issuer=ISSUER)))

    assert [set(each) for each in record["document"]["keys"]] == [{"kty", "n", "e", "kid"}]
    assert record["document"]["keys"][0]["kid"] == NEW.kid


async def test_one_issuers_keys_are_not_anothers(shared: SharedKeys, store: Store) -> None:
    await share(shared, published())

    assert await SharedKeys("https://other.example/", store).get(now=0) is None


async def test_an_issuer_whose_place_is_configured_has_its_keys_from_there(
    shared: SharedKeys, store: Store, wall: Wall
) -> None:
    await share(shared, published())

    for url, is_believed in ((None, True), (URL, True), ("https://issuer.example/moved", False)):
        found = await SharedKeys(ISSUER, store, url=url, clock=wall).get(now=100)
        assert (found is not None) is is_believed


async def test_one_process_at_a_time_asks_the_issuer(
    shared: SharedKeys, cache: BaseCache, clock: FakeClock
) -> None:
    other = SharedKeys(ISSUER, Store(cache, now=clock))
    assert await shared.claim()
    assert not await other.claim()

    shared.release()
    await settle()

    assert await other.claim()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"issuer": "https://evil.example/"}, "it is no record of this issuer"),
        ({"issuer": None}, "it is no record of this issuer"),
        ({"url": 5}, "it is no record of this issuer"),
        ({"headers": []}, "it is no record of this issuer"),
        ({"asked_at": "now"}, "it is no record of this issuer"),
        ({"document": []}, "it is no record of this issuer"),
        ({"document": {}}, "no array of keys"),
        ({"document": {"keys": []}}, "it has no usable key"),
        ({"document": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "it has no usable key"),
        ({"asked_at": WALL + 86400}, "it is from the future"),
        ({"padding": "x" * 600_000}, "it is too large"),
    ],
    ids=str,
)
async def test_a_store_that_lies_is_not_believed(
    shared: SharedKeys, store: Store, log: list[EventDict], change: dict[str, Any], cause: str
) -> None:
    await share(shared, published())
    record = json.loads(str(await store.get(ISSUER, issuer=ISSUER)))
    store.put(ISSUER, json.dumps(record | change), seconds=60, issuer=ISSUER)
    await settle()

    for _ in range(2):
        assert await shared.get(now=100) is None

    (disbelieved,) = events(log, "jwks.store_disbelieved")
    assert (disbelieved["cause"], disbelieved["issuer"]) == (cause, ISSUER)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"a": 1, "a": 2}', "[" * 100_000, "\ud800"]
)
async def test_what_is_no_record_is_passed_over(
    shared: SharedKeys, store: Store, log: list[EventDict], text: str
) -> None:
    store.put(ISSUER, text, seconds=60, issuer=ISSUER)
    await settle()

    assert await shared.get(now=100) is None
    assert len(events(log, "jwks.store_disbelieved")) == 1


@pytest.mark.parametrize("tag", ['"a"\r\nX-Evil: 1', '"ä"', 5, None])
async def test_what_no_header_may_hold_goes_into_no_request(
    shared: SharedKeys, store: Store, tag: object
) -> None:
    await share(shared, published())
    record = json.loads(str(await store.get(ISSUER, issuer=ISSUER)))
    store.put(ISSUER, json.dumps(record | {"headers": {"ETag": tag}}), seconds=60, issuer=ISSUER)
    await settle()

    found = await shared.get(now=100)

    assert found is not None
    assert found.conditions(URL) == {}


@pytest.mark.parametrize(
    ("jump", "age"), [(0, 10), (86400, 86410), (-5, 5), (-30, 0), (-86400, math.nan)]
)
async def test_a_wall_clock_that_jumps_makes_keys_look_older_or_is_not_believed(
    shared: SharedKeys, wall: Wall, jump: float, age: float
) -> None:
    await share(shared, published())
    wall.time += jump

    found = await shared.get(now=100)

    if math.isnan(age):
        assert found is None
    else:
        assert found is not None
        assert 100 - found.asked_at == pytest.approx(age)


async def test_they_are_shared_through_a_real_redis(redis: Redis, wall: Wall) -> None:
    ours, theirs = (Store.open(SecretStr(redis.url)) for _ in range(2))
    SharedKeys(ISSUER, ours, clock=wall).put(published(), now=100, keep_for=60.5)
    await ours.close()

    found = await SharedKeys(ISSUER, theirs, clock=wall).get(now=100)

    await theirs.close()
    assert found is not None
    assert found.keys == key_set(OLD)
    (name,) = [word for word in redis.command("keys", "*").split() if word.startswith("keyturn")]
    assert redis.command("ttl", name).strip() in {":61", ":60"}
