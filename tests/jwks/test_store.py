import asyncio
from typing import Any

import pytest
from aiocache import SimpleMemoryCache
from aiocache.serializers import StringSerializer
from pydantic import SecretStr, TypeAdapter, ValidationError
from structlog.typing import EventDict

from server.jwks.store import Store, StoreUrl
from tests.fakes import FakeClock, settle
from tests.jwks.conftest import events
from tests.minting import ISSUER
from tests.processes import Redis, free_ports

_url: TypeAdapter[SecretStr] = TypeAdapter(StoreUrl)


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "redis://localhost",
        "redis://127.0.0.1:6379/1",
        "redis://user:p%40ss@redis.example:6380/0",
        "rediss://redis.example/",
    ],
)
def test_a_store_is_named_by_its_address(url: str) -> None:
    assert _url.validate_python(url).get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "", "memory", "memory://here", "redis://", "redis:///1", "redis://host/one", "redis://host:0",
        "redis://host:high/1", "redis://host/1?timeout=1", "redis://host/1#a", "redis://[::1/1",
        "memcached://host", "http://host",
    ],
)  # fmt: skip
def test_what_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be memory:// or redis://host:port/db"):
        _url.validate_python(url)


class Moody(SimpleMemoryCache):  # type: ignore[misc]
    """A store that fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(serializer=StringSerializer(), timeout=0.25)
        self.fault: Exception | None = None
        self.asked = 0

    async def _set(self, key: str, *args: Any, **kwargs: Any) -> Any:
        for _ in range(50 if key == "name" else 0):
            await asyncio.sleep(0)  # a large text takes longer than a small one
        return await super()._set(key, *args, **kwargs)

    async def _get(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        if self.fault:
            raise self.fault
        return await super()._get(*args, **kwargs)


@pytest.fixture
def cache() -> Moody:
    return Moody()


@pytest.fixture
def store(cache: Moody, clock: FakeClock, log: list[EventDict]) -> Store:
    return Store(cache, now=clock)


async def get(store: Store, name: str = "name") -> str | None:
    return await store.get(name, issuer=ISSUER)


async def test_what_was_put_is_there(store: Store) -> None:
    assert await get(store) is None

    store.put("name", "text", seconds=10, issuer=ISSUER)
    await settle()

    assert await get(store) == "text"


async def test_a_name_is_claimed_by_one_until_it_is_released(
    cache: Moody, clock: FakeClock
) -> None:
    ours, theirs = (Store(cache, now=clock) for _ in range(2))
    assert await ours.claim("claim", seconds=2, issuer=ISSUER)
    assert not await theirs.claim("claim", seconds=2, issuer=ISSUER)
    assert await ours.claim("claim", seconds=2, issuer=ISSUER), "it is ours already"
    theirs.release("claim", issuer=ISSUER)
    await settle()
    assert not await theirs.claim("claim", seconds=2, issuer=ISSUER), "nor theirs to release"

    ours.release("claim", issuer=ISSUER)
    await settle()

    assert await theirs.claim("claim", seconds=2, issuer=ISSUER)
    assert not await ours.claim("claim", seconds=2, issuer=ISSUER)


async def test_who_finds_a_claim_released_finds_what_was_put_before(
    cache: Moody, clock: FakeClock
) -> None:
    ours, theirs = (Store(cache, now=clock) for _ in range(2))
    assert await ours.claim("claim", seconds=2, issuer=ISSUER)
    ours.put("name", "text", seconds=10, issuer=ISSUER)
    ours.release("claim", issuer=ISSUER)

    while not await theirs.claim("claim", seconds=2, issuer=ISSUER):  # noqa: ASYNC110 (in turn)
        await asyncio.sleep(0)

    assert await get(theirs) == "text"


async def test_a_store_that_fails_is_told_of_once_and_left_alone_for_a_while(
    store: Store, cache: Moody, clock: FakeClock, log: list[EventDict]
) -> None:
    cache.fault = ConnectionRefusedError("no")

    for _ in range(3):
        assert await get(store) is None
    assert cache.asked == 1
    await clock.advance(10)
    assert await get(store) is None

    assert cache.asked == 2
    (failed,) = events(log, "jwks.store_failed")
    assert (failed["cause"], failed["issuer"]) == ("ConnectionRefusedError: no", ISSUER)


async def test_a_store_that_is_back_is_told_of(
    store: Store, cache: Moody, clock: FakeClock, log: list[EventDict]
) -> None:
    cache.fault = OSError()
    await get(store)
    cache.fault = None
    await clock.advance(10)

    for _ in range(2):
        await get(store)

    assert len(events(log, "jwks.store_recovered")) == 1


async def test_a_claim_on_a_store_that_fails_is_granted(
    store: Store, cache: Moody, clock: FakeClock
) -> None:
    cache.fault = OSError()
    await get(store)

    assert await store.claim("claim", seconds=2, issuer=ISSUER)
    assert await store.claim("claim", seconds=2, issuer=ISSUER)


async def test_a_store_says_what_is_wrong_with_it(store: Store, cache: Moody) -> None:
    assert await store.fault() is None

    cache.fault = ConnectionRefusedError("nobody is there")

    assert await store.fault() == "ConnectionRefusedError: nobody is there"


async def test_a_text_is_put_only_instead_of_what_may_go(store: Store) -> None:
    store.put("name", "first", seconds=10, issuer=ISSUER, instead_of=lambda _: False)
    store.put("name", "second", seconds=10, issuer=ISSUER, instead_of=lambda _: False)
    store.put("name", "third", seconds=10, issuer=ISSUER, instead_of=lambda it: it == "first")
    await store.close()

    assert await get(store) == "third"


async def test_what_is_being_written_is_finished_at_the_end(store: Store) -> None:
    store.put("name", "text", seconds=10, issuer=ISSUER)

    await store.close()

    assert await get(store) == "text"


# ---- a real one


async def test_a_real_redis_keeps_and_claims(redis: Redis, log: list[EventDict]) -> None:
    ours, theirs = (Store.open(SecretStr(redis.url)) for _ in range(2))

    ours.put("name", "text", seconds=10, issuer=ISSUER)
    await ours.close()

    assert await get(theirs) == "text"
    assert await theirs.claim("claim", seconds=2, issuer=ISSUER)
    assert not await ours.claim("claim", seconds=2, issuer=ISSUER)
    for each in (ours, theirs):
        await each.close()
    assert not log


async def test_a_redis_that_is_dead_costs_a_warning(log: list[EventDict]) -> None:
    store = Store.open(SecretStr(f"redis://127.0.0.1:{free_ports(1)[0]}/0"))

    assert await get(store) is None
    store.put("name", "text", seconds=10, issuer=ISSUER)
    await store.close()

    assert [each["event"] for each in log] == ["jwks.store_failed"]


async def test_a_redis_that_never_answers_costs_a_warning_and_not_the_wait(
    log: list[EventDict],
) -> None:
    gone = asyncio.Event()

    async def never(_reader: object, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    silent = await asyncio.start_server(never, "127.0.0.1", 0)
    store = Store.open(SecretStr(f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}/0"))

    assert await get(store) is None

    await store.close()
    gone.set()
    silent.close()
    assert [each["cause"] for each in log] == ["TimeoutError"]


async def test_a_redis_that_is_full_costs_a_warning(redis: Redis, log: list[EventDict]) -> None:
    redis.command("config", "set", "maxmemory", "1")
    store = Store.open(SecretStr(redis.url))

    store.put("name", "text", seconds=10, issuer=ISSUER)
    await store.close()

    assert [each["event"] for each in log] == ["jwks.store_failed"]


async def test_a_redis_that_holds_no_text_costs_a_warning(
    redis: Redis, log: list[EventDict]
) -> None:
    store = Store.open(SecretStr(redis.url))
    redis.command("lpush", "keyturn:jwks:name", "not a text")

    assert await get(store) is None

    await store.close()
    assert [each["event"] for each in log] == ["jwks.store_failed"]


async def test_a_redis_asks_for_its_password(redis: Redis, log: list[EventDict]) -> None:
    redis.command("acl", "setuser", "keyturn", "on", ">s3cret@", "~*", "+@all")
    address = redis.url.removeprefix("redis://")
    known = Store.open(SecretStr(f"redis://keyturn:s3cret%40@{address}"))
    stranger = Store.open(SecretStr(f"redis://keyturn:wrong@{address}"))

    known.put("name", "text", seconds=10, issuer=ISSUER)
    await known.close()

    assert await get(known) == "text"
    assert await get(stranger) is None
    for each in (known, stranger):
        await each.close()
    (failed,) = log
    assert failed["event"] == "jwks.store_failed"
    assert "wrong" not in str(failed)
