import asyncio

import pytest
from structlog.typing import EventDict

from server.jwks.journal import Trigger
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.snapshot import State
from server.oauth.errors import InvalidTokenError, KeysUnavailableError
from server.oauth.keys import parse_jwks
from tests.fakes import FakeClock, FakeIssuer, settle
from tests.jwks.conftest import NEW, OLD, events, naming
from tests.minting import key_set, public_jwk


async def test_keys_are_fetched_at_once(running: RemoteKeySet, issuer: FakeIssuer) -> None:
    assert await running.find(naming(), may_ask=True)
    assert issuer.fetches == [False]
    assert running.status.keys == 1


async def test_keys_are_fetched_again_ahead_of_the_end_of_their_life(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    await clock.advance(239)
    assert len(issuer.fetches) == 1

    await clock.advance(2)

    assert len(issuer.fetches) == 2


async def test_the_life_that_the_issuer_states_is_kept(
    issuer: FakeIssuer, keys: RemoteKeySet, clock: FakeClock
) -> None:
    issuer.headers = {"Cache-Control": "max-age=100"}
    task = asyncio.create_task(keys.run())

    await clock.advance(81)

    assert len(issuer.fetches) == 2
    task.cancel()


async def test_a_failed_fetch_for_an_unknown_key_does_not_put_off_the_timer(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    await clock.advance(200)
    issuer.down = True
    for number in range(5):
        with pytest.raises((KeysUnavailableError, InvalidTokenError)):
            await running.find(naming(f"invented-{number}"), may_ask=True)
    issuer.down = False
    issuer.fetches.clear()

    await clock.advance(41)

    assert issuer.fetches == [False]


async def test_an_earlier_refresh_wakes_the_sleeper(
    keys: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.headers = {"Cache-Control": "max-age=900"}
    task = asyncio.create_task(keys.run())
    await clock.advance(10)
    issuer.headers = {"Cache-Control": "max-age=60"}
    issuer.keys = key_set(OLD, NEW)
    await keys.find(naming(NEW.kid), may_ask=True)

    await clock.advance(49)

    assert issuer.fetches == [False, True, False]
    task.cancel()


async def test_the_age_of_keys_counts_from_when_they_were_asked_for(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.gate.clear()
    refreshing = asyncio.create_task(running.refresh(Trigger.TIMER))
    await clock.advance(3)
    issuer.gate.set()
    await refreshing

    assert running.status.age == 3


async def test_a_failed_refresh_keeps_the_old_keys(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True

    await clock.advance(250)

    assert len(issuer.fetches) > 1
    assert await running.find(naming(), may_ask=True)


async def test_a_failing_issuer_is_asked_less_and_less(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True

    await clock.advance(240 + 3600)

    assert 60 < len(issuer.fetches) < 140, "every half minute on average, not every second"


async def test_the_pause_that_an_issuer_asks_for_is_granted(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True
    issuer.retry_after = 120
    await clock.advance(241)
    before = len(issuer.fetches)

    await clock.advance(118)
    assert len(issuer.fetches) == before
    await clock.advance(12)
    assert len(issuer.fetches) == before + 1


async def test_keys_are_used_past_their_life_for_a_while_and_then_no_more(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    issuer.down = True

    await clock.advance(299)
    seen = [running.state]
    await clock.advance(100)
    seen.append(running.state)
    assert running.is_usable
    assert await running.find(naming(), may_ask=True)
    assert running.vouches_for(running.generation)

    await clock.advance(3600)
    seen.append(running.state)
    assert seen == [State.FRESH, State.STALE, State.EXPIRED]
    assert not running.is_usable
    assert not running.vouches_for(running.generation)
    with pytest.raises(KeysUnavailableError):
        await running.find(naming(), may_ask=True)
    assert len(events(log, "jwks.stale")) == 1
    assert len(events(log, "jwks.expired")) == 1


async def test_an_issuer_that_comes_back_is_found_without_help(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True
    await clock.advance(5000)

    issuer.down = False
    await clock.advance(61)

    assert running.state is State.FRESH
    assert await running.find(naming(), may_ask=True)


async def test_an_issuer_that_is_down_at_first_is_waited_for(
    keys: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True
    task = asyncio.create_task(keys.run())
    await clock.advance(10)
    assert keys.state is State.EMPTY

    issuer.down = False
    await clock.advance(20)

    assert await keys.find(naming(), may_ask=True)
    task.cancel()


async def test_an_unexpected_exception_is_logged_and_the_refreshing_goes_on(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    issuer.fault = ZeroDivisionError("a fault of ours")
    await clock.advance(241)
    assert any(event.get("exc_info") for event in events(log, "jwks.refresh_failed"))

    issuer.fault = None
    before = len(issuer.fetches)
    await clock.advance(10)

    assert len(issuer.fetches) > before
    assert await running.find(naming(), may_ask=True)


async def test_a_refresh_without_a_change_is_the_same_generation(running: RemoteKeySet) -> None:
    generation = running.generation

    await running.refresh(Trigger.TIMER)

    assert running.vouches_for(generation)


async def test_an_unfit_key_is_told_of_once(
    running: RemoteKeySet, issuer: FakeIssuer, log: list[EventDict]
) -> None:
    issuer.keys = parse_jwks(
        {"keys": [public_jwk(OLD), {"kty": "oct", "k": "AAAA", "kid": "leak"}, {"kty": "AKP"}]}
    )

    for _ in range(3):
        await running.refresh(Trigger.TIMER)

    told = sorted(
        (event["kid"] or "", event["log_level"]) for event in events(log, "jwks.key_ignored")
    )
    assert told == [("", "warning"), ("leak", "error")]


async def test_stopping_in_mid_fetch_ends_the_fetch(keys: RemoteKeySet, issuer: FakeIssuer) -> None:
    issuer.gate.clear()
    before = asyncio.all_tasks()
    task = asyncio.create_task(keys.run())
    await settle()

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await settle()

    assert asyncio.all_tasks() == before
