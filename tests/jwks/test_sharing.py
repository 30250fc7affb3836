import json
import math
from dataclasses import replace
from typing import Any

import pytest
from aiocache import BaseCache
from pydantic import SecretStr
from structlog.typing import EventDict

from server.jwks.published import PublishedKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.oauth.jwk_set import parse_jwks
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
    """One process's."""
    return SharedKeys(ISSUER, store, clock=wall)


@pytest.fixture
def other(cache: BaseCache, clock: FakeClock, wall: Wall) -> SharedKeys:
    """And another's."""
    return SharedKeys(ISSUER, Store(cache, now=clock), clock=wall)


def published(**headers: str) -> PublishedKeySet:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PublishedKeySet(key_set(OLD), URL, named, asked_at=90)


async def share(shared: SharedKeys, keys: PublishedKeySet) -> None:
    shared.put(keys, now=100, keep_for=60)
    await settle()


async def test_what_one_process_shares_another_finds_with_its_age(
    shared: SharedKeys, other: SharedKeys, wall: Wall
) -> None:
    await share(shared, published(ETag='"a"', Cache_Control="max-age=60"))
    wall.time += 5

    found = await other.get(now=7000)  # its monotonic clock began elsewhere

    assert found is not None
    assert [key.key_id for key in found.keys.keys] == [OLD.kid]
    assert found.asked_at == pytest.approx(7000 - 10 - 5)
    assert found.headers == {"Cache-Control": "max-age=60"}
    assert found.conditions(URL) == {}, "who forged it would have the issuer confirm it"


async def test_a_validator_that_was_written_into_the_store_is_not_used(
    shared: SharedKeys, other: SharedKeys, store: Store
) -> None:
    await share(shared, published(ETag='"a"'))
    record = json.loads(str(await store.get(ISSUER, issuer=ISSUER)))
    assert record["headers"] == {}
    forged = record | {"headers": {"ETag": '"a"', "Cache-Control": "max-age=60"}}
    store.put(ISSUER, json.dumps(forged), seconds=60, issuer=ISSUER)
    await settle()

    found = await other.get(now=100)

    assert found is not None
    assert found.headers == {"Cache-Control": "max-age=60"}


async def test_what_a_process_has_shared_itself_is_nothing_new(shared: SharedKeys) -> None:
    await share(shared, published())

    assert await shared.get(now=100) is None


async def test_what_was_asked_for_earlier_does_not_replace_what_was_asked_for_later(
    shared: SharedKeys, other: SharedKeys, store: Store
) -> None:
    await share(shared, published())
    other.put(replace(published(), asked_at=80), now=100, keep_for=60)
    await settle()
    assert await shared.get(now=100) is None, "it is still our own"

    other.put(replace(published(), asked_at=95), now=100, keep_for=60)
    await settle()

    assert await shared.get(now=100) is not None


@pytest.mark.parametrize("there", ["{", "[]", '{"asked_at": "now"}', '{"asked_at": 1e300}'])
async def test_what_makes_no_sense_is_replaced(
    shared: SharedKeys, other: SharedKeys, store: Store, there: str
) -> None:
    store.put(ISSUER, there, seconds=60, issuer=ISSUER)
    await share(shared, published())

    assert await other.get(now=100) is not None


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
    shared: SharedKeys, cache: BaseCache, clock: FakeClock, wall: Wall
) -> None:
    await share(shared, published())
    store = Store(cache, now=clock)

    for url, is_believed in ((None, True), (URL, True), ("https://issuer.example/moved", False)):
        found = await SharedKeys(ISSUER, store, url=url, clock=wall).get(now=100)
        assert (found is not None) is is_believed


async def test_one_process_at_a_time_asks_the_issuer(shared: SharedKeys, other: SharedKeys) -> None:
    assert await shared.claim(seconds=5)
    assert not await other.claim(seconds=5)
    other.release()
    await settle()
    assert not await other.claim(seconds=5), "it was not theirs to release"

    shared.release()
    await settle()

    assert await other.claim(seconds=5)


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
    shared: SharedKeys,
    other: SharedKeys,
    store: Store,
    log: list[EventDict],
    change: dict[str, Any],
    cause: str,
) -> None:
    await share(shared, published())
    record = json.loads(str(await store.get(ISSUER, issuer=ISSUER)))
    store.put(ISSUER, json.dumps(record | change), seconds=60, issuer=ISSUER)
    await settle()

    for _ in range(2):
        assert await other.get(now=100) is None

    (disbelieved,) = events(log, "jwks.store_disbelieved")
    assert (disbelieved["cause"], disbelieved["issuer"]) == (cause, ISSUER)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"a": 1, "a": 2}', "[" * 100_000, "\ud800"]
)
async def test_what_is_no_record_is_passed_over(
    shared: SharedKeys, other: SharedKeys, store: Store, log: list[EventDict], text: str
) -> None:
    store.put(ISSUER, text, seconds=60, issuer=ISSUER)
    await settle()

    assert await other.get(now=100) is None
    assert len(events(log, "jwks.store_disbelieved")) == 1


@pytest.mark.parametrize(
    ("jump", "age"), [(0, 10), (86400, 86410), (-5, 5), (-30, 0), (-86400, math.nan)]
)
async def test_a_wall_clock_that_jumps_makes_keys_look_older_or_is_not_believed(
    shared: SharedKeys, other: SharedKeys, wall: Wall, jump: float, age: float
) -> None:
    await share(shared, published())
    wall.time += jump

    found = await other.get(now=100)

    if math.isnan(age):
        assert found is None
    else:
        assert found is not None
        assert 100 - found.asked_at == pytest.approx(age)


async def test_a_large_set_with_odd_names_is_shared_all_the_same(
    shared: SharedKeys, other: SharedKeys
) -> None:
    keys = parse_jwks(
        {"keys": [public_jwk(kid=f"{number:03}" + "ключ" * 60) for number in range(100)]}
    )
    await share(shared, PublishedKeySet(keys, URL, {}, asked_at=90))

    found = await other.get(now=100)

    assert found is not None
    assert len(found.keys.keys) == 100


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
