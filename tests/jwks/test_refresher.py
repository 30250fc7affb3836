import asyncio

import pytest
from structlog.typing import EventDict

from server.jwks.document import JWKSFetchError
from server.jwks.outcomes import Result, Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.published import PublishedKeySet
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.snapshot import State
from server.jwks.store import Store
from server.oauth.errors import InvalidTokenError, KeysUnavailableError
from server.oauth.jwk_set import parse_jwks
from server.oauth.keys import UnfitKey
from tests.fakes import FakeClock, FakeIssuer, settle
from tests.jwks.conftest import NEW, OLD, MakeKeys, events, kept_current, naming
from tests.minting import ISSUER, key_set, public_jwk


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
        (event.get("kid", ""), event["log_level"]) for event in events(log, "jwks.key_ignored")
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


# ---- the timer


async def test_a_set_that_has_not_changed_is_confirmed_and_lives_on(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    issuer.headers = {"ETag": '"a"', "Cache-Control": "max-age=100"}
    await clock.advance(241)
    generation = running.generation

    await clock.advance(80)

    assert issuer.conditional == 2, "the first answer had no validator: nothing was confirmed yet"
    assert running.generation == generation
    assert running.status.age == pytest.approx(1)
    assert [each["result"] for each in events(log, "jwks.refreshed")] == [
        "ok",
        *["not_modified"] * 2,
    ]


async def test_what_a_cache_on_the_way_still_has_does_not_bring_a_removed_key_back(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    removed = issuer.keys
    issuer.keys = key_set(NEW)
    await running.refresh(Trigger.FORCED)

    async def cached(held: PublishedKeySet | None, *, fresh: bool) -> PublishedKeySet:
        keys, headers = (issuer.keys, {}) if fresh else (removed, {"Age": "280"})
        return PublishedKeySet(keys, "", headers, clock.time)

    issuer.rotation = cached
    await clock.advance(241)

    assert running.status.age == pytest.approx(1)
    with pytest.raises(InvalidTokenError):
        await running.find(naming(OLD.kid), may_ask=False)


async def test_a_cache_that_insists_is_not_believed_while_what_is_held_can_be_used(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    async def cached(held: PublishedKeySet | None, *, fresh: bool) -> PublishedKeySet:
        return PublishedKeySet(key_set(NEW), "", {"Age": "100000"}, clock.time)

    issuer.rotation = cached
    for trigger in (Trigger.TIMER, Trigger.FORCED, Trigger.UNKNOWN_KEY):
        assert await running.refresh(trigger) is Result.FAILED
    assert await running.find(naming(OLD.kid), may_ask=False)
    assert events(log, "jwks.refresh_failed")[0]["cause"] == (
        "a cache on the way still has an older set"
    )

    await clock.advance(3900 + 60)

    assert await running.find(naming(NEW.kid), may_ask=False), (
        "keys that have expired are no better"
    )


async def test_an_invented_key_does_not_bring_a_removed_one_back(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    removed = issuer.keys
    issuer.keys = key_set(NEW)
    await running.refresh(Trigger.FORCED)

    async def cached(held: PublishedKeySet | None, *, fresh: bool) -> PublishedKeySet:
        return PublishedKeySet(removed, "", {"Age": "500"}, clock.time)

    issuer.rotation = cached
    with pytest.raises(KeysUnavailableError):
        await running.find(naming("invented"), may_ask=True)

    assert await running.find(naming(NEW.kid), may_ask=False)
    with pytest.raises(InvalidTokenError):
        await running.find(naming(OLD.kid), may_ask=False)


async def test_an_older_copy_of_the_same_keys_confirms_them(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.headers = {"Age": "1000"}

    await clock.advance(241)

    assert running.status.age == pytest.approx(1)


@pytest.mark.parametrize(("random", "due"), [(0.0, 216), (0.5, 240), (1.0, 264)])
async def test_replicas_do_not_march_in_step(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, random: float, due: float
) -> None:
    async with kept_current(make_keys(random=lambda: random)):
        await clock.advance(due - 1)
        assert len(issuer.fetches) == 1

        await clock.advance(2)

        assert len(issuer.fetches) == 2


async def test_keys_become_stale_in_the_log_when_they_do_and_not_when_the_next_fetch_fails(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    issuer.down = True
    issuer.retry_after = 300
    await clock.advance(299)
    assert not events(log, "jwks.stale")

    await clock.advance(2)

    assert len(events(log, "jwks.stale")) == 1
    assert len(issuer.fetches) == 2, "the next is not due before 540 s"


async def test_a_failure_is_told_once_for_each_cause(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    issuer.down = True
    await clock.advance(1200)
    (failed,) = events(log, "jwks.refresh_failed")
    assert (failed["trigger"], failed["cause"], failed["issuer"]) == ("timer", "down", ISSUER)

    issuer.down = False
    await clock.advance(300)
    issuer.down = True
    await clock.advance(300)

    assert len(events(log, "jwks.refresh_failed")) == 2
    assert running.journal.numbers.fetches[Trigger.TIMER, Result.FAILED].value > 10, (
        "all are counted"
    )


async def test_a_set_without_a_usable_key_or_none_at_all_never_replaces_a_good_one(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.fault = JWKSFetchError("has no usable key")

    await clock.advance(600)

    assert running.status.keys == 1
    assert await running.find(naming(), may_ask=True)


async def test_a_smaller_set_is_a_revocation(running: RemoteKeySet, issuer: FakeIssuer) -> None:
    issuer.keys = key_set(OLD, NEW)
    await running.refresh(Trigger.TIMER)
    issuer.keys = key_set(NEW)

    await running.refresh(Trigger.TIMER)

    with pytest.raises(InvalidTokenError):
        await running.find(naming(OLD.kid), may_ask=False)


# ---- forced


@pytest.mark.parametrize("before", [Trigger.TIMER, Trigger.FORCED])
async def test_who_forces_a_refresh_is_not_served_by_one_that_began_before(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, before: Trigger
) -> None:
    issuer.fetches.clear()
    issuer.gate.clear()
    earlier = asyncio.create_task(running.refresh(before))
    await clock.advance(0.1)
    forced = [asyncio.create_task(running.refresh(Trigger.FORCED)) for _ in range(20)]
    await clock.advance(0.1)
    issuer.gate.set()

    assert await asyncio.gather(earlier, *forced) == [Result.OK] * 21
    assert issuer.fetches == [before is Trigger.FORCED, True], "one for all who came later"


async def test_who_forces_a_refresh_hears_of_the_issuer_and_not_of_the_store(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    async with kept_current(make_keys()) as ours, kept_current(make_keys()) as theirs:
        await clock.advance(1)
        await theirs.refresh(Trigger.FORCED)
        issuer.fetches.clear()

        assert await ours.refresh(Trigger.FORCED) is Result.OK
        assert issuer.fetches == [True]


async def test_a_forced_refresh_that_fails_is_tried_again_soon(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True
    assert await running.refresh(Trigger.FORCED) is Result.FAILED
    issuer.down = False

    await clock.advance(1)

    assert issuer.fetches == [False, True, False]


async def test_a_forced_refresh_that_fails_never_puts_off_the_timer(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    await clock.advance(200)
    issuer.down = True
    issuer.retry_after = 300
    assert await running.refresh(Trigger.FORCED) is Result.FAILED
    issuer.down = False

    await clock.advance(41)

    assert running.status.age == pytest.approx(1)


async def test_a_refresh_that_is_forced_doubts_what_is_held(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.headers = {"ETag": '"coarse"'}
    await running.refresh(Trigger.TIMER)

    assert await running.refresh(Trigger.FORCED) is Result.OK

    assert issuer.conditional == 1


async def test_after_a_failure_what_is_held_is_doubted(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.headers = {"ETag": '"a"'}
    await running.refresh(Trigger.TIMER)
    issuer.down = True
    await running.refresh(Trigger.TIMER)
    issuer.down = False
    issuer.conditional = 0

    assert await running.refresh(Trigger.TIMER) is Result.OK
    assert await running.refresh(Trigger.TIMER) is Result.NOT_MODIFIED
    assert issuer.conditional == 1


# ---- supervision


async def test_the_refresher_survives_what_nobody_expected(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    chances = iter([0.5])

    def random() -> float:
        return next(chances)  # a fault of ours, in the midst of the arithmetic

    keys = make_keys(random=random)
    async with kept_current(keys):
        await clock.advance(600)
        assert 0 < keys.journal.crashes <= 2 * 600, "with a pause after each"
        chances = iter([0.5] * 100)
        await clock.advance(10)
        fetched = len(issuer.fetches)

        await clock.advance(600)

        assert len(issuer.fetches) == fetched + 2, "it goes on at its pace"
        assert await keys.find(naming(), may_ask=True)
    crashed = [event for event in log if event.get("exc_info")]
    assert len(crashed) == keys.journal.crashes


async def test_a_wall_clock_that_jumps_by_a_day_causes_no_storm(
    issuer: FakeIssuer, clock: FakeClock, store: Store, log: list[EventDict]
) -> None:
    jumps = [0.0]
    keys = RemoteKeySet(
        ISSUER,
        issuer.fetch,
        RefreshPolicy(),
        SharedKeys(ISSUER, store, clock=lambda: clock.time + jumps[-1]),
        now=clock,
        sleep=clock.sleep,
        random=lambda: 0.5,
    )
    async with kept_current(keys):
        for jump in (86400.0, -86400.0, 0.0):
            jumps.append(jump)
            await clock.advance(1000)

    assert len(issuer.fetches) <= 1 + 3000 / 240 + 1


async def test_what_makes_every_key_unfit_is_told(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    issuer.fault = JWKSFetchError(
        "none usable", unfit=(UnfitKey("leak", "private", is_secret=True),)
    )

    await clock.advance(400)

    (ignored,) = events(log, "jwks.key_ignored")
    assert (ignored["kid"], ignored["log_level"]) == ("leak", "error")


async def test_once_it_has_ended_nothing_is_fetched(
    keys: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    issuer.gate.clear()
    async with kept_current(keys):
        forced = [asyncio.create_task(keys.refresh(Trigger.FORCED)) for _ in range(3)]
        await settle()

    assert await asyncio.gather(*forced) == [Result.FAILED] * 3
    assert issuer.fetches == [False]
    assert not log
