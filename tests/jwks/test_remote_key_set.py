import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.typing import EventDict

from server.jwks.client import FetchedKeySet
from server.jwks.journal import Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.snapshot import State
from server.oauth.errors import InvalidTokenError, KeysUnavailableError, Reason
from server.oauth.keys import parse_jwks
from server.oauth.unverified_token import UnverifiedToken
from tests.fakes import FakeClock, FakeIssuer, settle
from tests.minting import header, key_set, private_key, public_jwk, unsigned

OLD, NEW, NEWER = (private_key("RSA", name) for name in ("main", "other", "third"))


def naming(key_id: str | None = OLD.kid) -> UnverifiedToken:
    return UnverifiedToken.parse(unsigned(header(kid=... if key_id is None else key_id)))


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer(key_set(OLD))


@pytest.fixture
def keys(issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]) -> RemoteKeySet:
    return RemoteKeySet(
        "https://issuer.example/",
        issuer.fetch,
        RefreshPolicy(),
        now=clock,
        sleep=clock.sleep,
        random=lambda: 0.5,
    )


@pytest.fixture
async def running(keys: RemoteKeySet) -> AsyncIterator[RemoteKeySet]:
    task = asyncio.create_task(keys.run())
    await settle()
    yield keys
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def events(log: list[EventDict], name: str) -> list[EventDict]:
    return [event for event in log if event["event"] == name]


async def test_before_the_first_keys_nothing_can_be_judged(keys: RemoteKeySet) -> None:
    with pytest.raises(KeysUnavailableError) as unavailable:
        await keys.find(naming())

    assert unavailable.value.retry_after == 1
    assert keys.state is State.EMPTY
    assert keys.status.age is None
    assert not keys.vouches_for(keys.generation)


async def test_keys_are_fetched_at_once(running: RemoteKeySet, issuer: FakeIssuer) -> None:
    assert await running.find(naming())
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


async def test_an_unknown_key_is_asked_for_and_the_same_token_judged_again(
    running: RemoteKeySet, issuer: FakeIssuer, log: list[EventDict]
) -> None:
    issuer.keys = key_set(OLD, NEW)

    assert await running.find(naming(NEW.kid))

    assert issuer.fetches == [False, True], "past the caches, for they hold the old set"
    (rotated,) = events(log, "jwks.rotated")
    assert (rotated["added"], rotated["removed"]) == ([NEW.kid], [])


async def test_five_hundred_requests_with_a_new_key_cause_one_fetch(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(OLD, NEW)

    found = await asyncio.gather(*(running.find(naming(NEW.kid)) for _ in range(500)))

    assert all(found)
    assert len(issuer.fetches) == 2


async def test_a_key_that_stays_unknown_is_told_so(running: RemoteKeySet) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        await running.find(naming("invented"))

    assert refused.value.reason is Reason.UNKNOWN_KEY


async def test_invented_keys_cause_two_fetches_and_then_one_each_cooldown(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    for number in range(200):
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"))
    assert issuer.fetches.count(True) == 2
    assert len(events(log, "jwks.suppressed")) == 1

    await clock.advance(30)
    for number in range(200):
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"))

    assert issuer.fetches.count(True) == 3
    assert len(events(log, "jwks.suppressed")) == 2


async def test_invented_keys_at_once_share_their_fetches(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    found = await asyncio.gather(
        *(running.find(naming(f"invented-{number}")) for number in range(1000)),
        return_exceptions=True,
    )

    assert all(isinstance(each, InvalidTokenError) for each in found)
    assert issuer.fetches.count(True) <= 2


async def test_each_rotation_is_followed_however_fast_they_come(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    for number in range(20):
        issuer.keys = parse_jwks({"keys": [public_jwk(NEW, kid=f"rotation-{number}")]})
        assert await running.find(naming(f"rotation-{number}"))


async def test_a_client_that_goes_on_with_a_dead_token_does_not_hide_a_rotation(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.keys = key_set(NEW)
    assert await running.find(naming(NEW.kid))

    for number in range(10):
        for _ in range(20):
            with pytest.raises(InvalidTokenError):
                await running.find(naming(OLD.kid))
            await clock.advance(1)
        issuer.keys = parse_jwks({"keys": [public_jwk(NEWER, kid=f"rotation-{number}")]})
        assert await running.find(naming(f"rotation-{number}"))


async def test_an_issuer_whose_servers_disagree_is_not_asked_for_each_forged_key(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    for number in range(200):
        issuer.keys = key_set(NEW) if number % 2 else key_set(OLD)
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"))

    assert issuer.fetches.count(True) <= 4


async def test_a_key_that_was_taken_back_and_returns_is_found_again(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(NEW)
    await running.refresh(Trigger.TIMER)
    issuer.keys = key_set(OLD, NEW)

    assert await running.find(naming())


async def test_while_the_brake_holds_and_the_keys_are_stale_nobody_is_called_a_forger(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True
    await clock.advance(400)
    for number in range(2):
        with pytest.raises(KeysUnavailableError):
            await running.find(naming(f"new-{number}"))

    with pytest.raises(KeysUnavailableError):
        await running.find(naming("new"))

    assert issuer.fetches.count(True) == 2


async def test_a_fetch_that_fails_leaves_an_unknown_key_undecided(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.down = True

    with pytest.raises(KeysUnavailableError):
        await running.find(naming("new"))
    assert await running.find(naming())


async def test_a_fetch_under_way_is_joined_and_what_came_after_it_asked_for_again(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    published = issuer.keys
    issuer.gate.clear()
    await clock.advance(241)
    waiting = asyncio.create_task(running.find(naming(NEW.kid)))
    await settle()
    assert issuer.fetches == [False, False], "joined"

    async def rotated_meanwhile(*, fresh: bool) -> FetchedKeySet:
        issuer.fetches.append(fresh)
        return FetchedKeySet(key_set(OLD, NEW) if fresh else published, {})

    issuer.rotation = rotated_meanwhile
    issuer.gate.set()

    assert await waiting
    assert issuer.fetches == [False, False, True]


async def test_a_failed_fetch_for_an_unknown_key_does_not_put_off_the_timer(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    await clock.advance(200)
    issuer.down = True
    for number in range(5):
        with pytest.raises((KeysUnavailableError, InvalidTokenError)):
            await running.find(naming(f"invented-{number}"))
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
    await keys.find(naming(NEW.kid))

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


async def test_a_client_that_leaves_does_not_take_the_others_fetch_along(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(OLD, NEW)
    issuer.gate.clear()
    leaving, staying = (asyncio.create_task(running.find(naming(NEW.kid))) for _ in range(2))
    await settle()

    leaving.cancel()
    await settle()
    issuer.gate.set()

    assert await staying
    assert leaving.cancelled()
    assert len(issuer.fetches) == 2


async def test_a_failed_refresh_keeps_the_old_keys(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True

    await clock.advance(250)

    assert len(issuer.fetches) > 1
    assert await running.find(naming())


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
    await clock.advance(3)
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
    assert await running.find(naming())
    assert running.vouches_for(running.generation)

    await clock.advance(3600)
    seen.append(running.state)
    assert seen == [State.FRESH, State.STALE, State.EXPIRED]
    assert not running.is_usable
    assert not running.vouches_for(running.generation)
    with pytest.raises(KeysUnavailableError):
        await running.find(naming())
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
    assert await running.find(naming())


async def test_an_issuer_that_is_down_at_first_is_waited_for(
    keys: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True
    task = asyncio.create_task(keys.run())
    await clock.advance(10)
    assert keys.state is State.EMPTY

    issuer.down = False
    await clock.advance(20)

    assert await keys.find(naming())
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
    assert await running.find(naming())


async def test_a_removed_key_is_unknown_from_the_swap_on_and_its_generation_over(
    running: RemoteKeySet, issuer: FakeIssuer, log: list[EventDict]
) -> None:
    await running.find(naming())
    generation = running.generation
    issuer.keys = key_set(NEW)

    await running.refresh(Trigger.TIMER)

    assert not running.vouches_for(generation)
    with pytest.raises(InvalidTokenError):
        await running.find(naming())
    assert events(log, "jwks.rotated")[0]["removed"] == [OLD.kid]


async def test_a_refresh_without_a_change_is_the_same_generation(running: RemoteKeySet) -> None:
    generation = running.generation

    await running.refresh(Trigger.TIMER)

    assert running.vouches_for(generation)


async def test_a_token_for_another_algorithm_never_causes_a_fetch(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    token = UnverifiedToken.parse(unsigned(header(alg="ES256")))

    with pytest.raises(InvalidTokenError) as refused:
        await running.find(token)

    assert refused.value.reason is Reason.KEY_MISMATCH
    assert len(issuer.fetches) == 1


async def test_a_token_without_a_key_id_never_causes_a_fetch(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(OLD, NEW)
    await running.refresh(Trigger.TIMER)

    with pytest.raises(InvalidTokenError):
        await running.find(naming(None))

    assert issuer.fetches == [False, False]


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
