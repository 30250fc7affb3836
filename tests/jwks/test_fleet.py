"""One issuer, many processes: who asks, and what the others take over."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from aiocache import BaseCache
from pydantic import SecretStr
from structlog.typing import EventDict

from server.jwks.outcomes import Result, Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.published import PublishedKeySet
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.snapshot import State
from server.jwks.store import Store
from server.oauth.jwk_set import parse_jwks
from tests.fakes import FakeClock, FakeIssuer, settle
from tests.jwks.conftest import NEW, OLD, MakeKeys, events, kept_current, naming
from tests.minting import ISSUER, key_set, public_jwk
from tests.processes import free_ports


async def test_one_of_many_processes_asks_and_the_others_take_over(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    fleet = [make_keys(random=lambda number=number: number / 15) for number in range(16)]
    async with AsyncExitStack() as stack:
        for each in fleet:
            await stack.enter_async_context(kept_current(each))
        assert len(issuer.fetches) == 1
        assert all(each.is_usable for each in fleet)

        await clock.advance(3600)

        assert len(issuer.fetches) <= 1 + 3600 / 216
        assert all(each.state is State.FRESH for each in fleet)


async def test_processes_that_start_at_once_ask_once(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.gate.clear()
    async with AsyncExitStack() as stack:
        fleet = [await stack.enter_async_context(kept_current(make_keys())) for _ in range(8)]
        await clock.advance(3)  # it is slow
        issuer.gate.set()
        await clock.advance(0.1)

        assert all(each.is_usable for each in fleet)
        assert len(issuer.fetches) == 1


async def test_who_waits_for_another_process_in_vain_asks_by_itself(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, store: Store
) -> None:
    assert await SharedKeys(ISSUER, store).claim(seconds=60)  # and then that process died
    async with kept_current(make_keys()) as keys:
        await clock.advance(4.5)
        assert not issuer.fetches

        await clock.advance(1)

        assert keys.is_usable


async def test_a_request_is_not_kept_waiting_for_another_process_in_vain(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, store: Store
) -> None:
    async with kept_current(make_keys()) as keys:
        assert await SharedKeys(ISSUER, store).claim(seconds=60)  # and then that process died
        issuer.keys = key_set(OLD, NEW)
        search = asyncio.create_task(keys.find(naming(NEW.kid), may_ask=True))

        await clock.advance(0.9)

        assert await search


async def test_when_the_one_who_asks_has_failed_the_next_one_asks(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.gate.clear()
    issuer.down = True
    async with kept_current(make_keys()), kept_current(make_keys()) as waiting:
        await clock.advance(0.5)
        assert len(issuer.fetches) == 1
        issuer.gate.set()
        await settle()
        issuer.down = False

        await clock.advance(0.1)

        assert waiting.is_usable


async def test_a_key_that_another_process_has_seen_needs_no_fetch_and_no_permit(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    async with kept_current(make_keys()) as ours, kept_current(make_keys()) as theirs:
        for number in range(5):
            await clock.advance(1)
            issuer.keys = parse_jwks({"keys": [public_jwk(NEW, kid=f"rotation-{number}")]})
            await theirs.refresh(Trigger.FORCED)
            issuer.fetches.clear()

            assert await ours.find(naming(f"rotation-{number}"), may_ask=True)
            assert not issuer.fetches
    assert [each["trigger"] for each in events(log, "jwks.refreshed")].count("store") == 6


async def test_a_process_that_starts_while_the_issuer_is_down_begins_with_the_last_good_keys(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    async with kept_current(make_keys()):
        issuer.down = True
        await clock.advance(600)

    issuer.fetches.clear()
    async with kept_current(make_keys()) as keys:
        assert keys.state is State.STALE
        assert keys.status.age == pytest.approx(600)
        assert await keys.find(naming(), may_ask=True)
        assert issuer.fetches == [False], "and asked the issuer all the same"


async def test_keys_that_are_too_old_are_not_taken_over(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, store: Store
) -> None:
    long_ago = PublishedKeySet(key_set(OLD), "", {}, clock.time - 3901)
    SharedKeys(ISSUER, store, clock=clock).put(long_ago, now=clock.time, keep_for=10)
    issuer.down = True

    async with kept_current(make_keys()) as keys:
        assert keys.state is State.EMPTY


async def test_a_key_that_was_removed_is_removed_everywhere(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    async with kept_current(make_keys()) as ours, kept_current(make_keys()) as theirs:
        await clock.advance(1)
        issuer.keys = key_set(NEW)
        await theirs.refresh(Trigger.FORCED)
        generation = ours.generation

        await clock.advance(241)

        assert not ours.vouches_for(generation)


async def test_a_store_that_is_dead_costs_nothing_but_a_warning(
    issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    store = Store.open(SecretStr(f"redis://127.0.0.1:{free_ports(1)[0]}/0"))
    shared = SharedKeys(ISSUER, store, clock=clock)
    keys = RemoteKeySet(ISSUER, issuer.fetch, RefreshPolicy(), shared, now=clock, sleep=clock.sleep)

    assert await keys.refresh(Trigger.START) is Result.OK

    await store.close()
    assert [each["event"] for each in log] == ["jwks.store_failed", "jwks.refreshed"]


async def test_what_another_process_shared_between_a_look_and_a_claim_is_seen(
    issuer: FakeIssuer, clock: FakeClock, cache: BaseCache, log: list[EventDict]
) -> None:
    theirs = SharedKeys(ISSUER, Store(cache, now=clock), clock=clock)

    class Late(SharedKeys):
        async def claim(self, *, seconds: float) -> bool:
            theirs.put(
                PublishedKeySet(key_set(NEW), "", {}, clock.time), now=clock.time, keep_for=9
            )
            await settle()
            return await super().claim(seconds=seconds)

    shared = Late(ISSUER, Store(cache, now=clock), clock=clock)
    keys = RemoteKeySet(ISSUER, issuer.fetch, RefreshPolicy(), shared, now=clock, sleep=clock.sleep)

    assert await keys.refresh(Trigger.START) is Result.TAKEN_OVER
    assert not issuer.fetches


async def test_an_unfit_key_is_told_of_once_by_each_process_that_asked(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    leak = {"kty": "oct", "k": "AAAA", "kid": "leak"}
    issuer.keys = parse_jwks({"keys": [public_jwk(OLD), leak]})
    async with kept_current(make_keys(random=lambda: 0.2)), kept_current(make_keys()):
        await clock.advance(3600)

    assert len(events(log, "jwks.key_ignored")) <= 2


async def test_who_begins_with_stale_keys_and_gets_fresh_ones_raises_no_alarm(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    async with kept_current(make_keys()):
        pass
    await clock.advance(600)

    async with kept_current(make_keys()) as keys:
        assert keys.state is State.FRESH

    assert not events(log, "jwks.stale")
