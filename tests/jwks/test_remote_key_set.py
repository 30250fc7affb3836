import asyncio

import pytest
from structlog.typing import EventDict

from server.jwks.document import JWKSFetchError
from server.jwks.outcomes import Outcome, Result, Trigger
from server.jwks.published import PublishedKeySet
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.snapshot import State
from server.oauth.errors import InvalidTokenError, KeysUnavailableError, Reason
from server.oauth.jwk_set import parse_jwks
from server.oauth.unverified_token import UnverifiedToken
from tests.fakes import FakeClock, FakeIssuer, settle
from tests.jwks.conftest import NEW, NEWER, OLD, MakeKeys, counted, events, kept_current, naming
from tests.minting import header, key_set, public_jwk, unsigned


async def test_before_the_first_keys_nothing_can_be_judged(keys: RemoteKeySet) -> None:
    with pytest.raises(KeysUnavailableError) as unavailable:
        await keys.find(naming(), may_ask=True)

    assert unavailable.value.retry_after == 1
    assert keys.state is State.EMPTY
    assert keys.status.age is None
    assert not keys.vouches_for(keys.generation)


async def test_an_unknown_key_is_asked_for_and_the_same_token_judged_again(
    running: RemoteKeySet, issuer: FakeIssuer, log: list[EventDict]
) -> None:
    issuer.keys = key_set(OLD, NEW)

    assert await running.find(naming(NEW.kid), may_ask=True)

    assert issuer.fetches == [False, True], "past the caches, for they hold the old set"
    (rotated,) = events(log, "jwks.rotated")
    assert (rotated["added"], rotated["removed"]) == ([NEW.kid], [])


async def test_five_hundred_requests_with_a_new_key_cause_one_fetch(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(OLD, NEW)

    found = await asyncio.gather(*(running.find(naming(NEW.kid), may_ask=True) for _ in range(500)))

    assert all(found)
    assert len(issuer.fetches) == 2


async def test_a_key_that_stays_unknown_is_told_so(running: RemoteKeySet) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        await running.find(naming("invented"), may_ask=True)

    assert refused.value.reason is Reason.UNKNOWN_KEY


async def test_invented_keys_cause_two_fetches_and_then_one_each_cooldown(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, log: list[EventDict]
) -> None:
    for number in range(200):
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"), may_ask=True)
    assert issuer.fetches.count(True) == 2
    assert len(events(log, "jwks.suppressed")) == 1

    await clock.advance(30)
    for number in range(200):
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"), may_ask=True)

    assert issuer.fetches.count(True) == 3
    assert len(events(log, "jwks.suppressed")) == 2


async def test_invented_keys_at_once_share_their_fetches(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    found = await asyncio.gather(
        *(running.find(naming(f"invented-{number}"), may_ask=True) for number in range(1000)),
        return_exceptions=True,
    )

    assert all(isinstance(each, InvalidTokenError) for each in found)
    assert issuer.fetches.count(True) <= 2


async def test_each_rotation_is_followed_however_fast_they_come(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    for number in range(20):
        issuer.keys = parse_jwks({"keys": [public_jwk(NEW, kid=f"rotation-{number}")]})
        assert await running.find(naming(f"rotation-{number}"), may_ask=True)


async def test_a_client_that_goes_on_with_a_dead_token_does_not_hide_a_rotation(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.keys = key_set(NEW)
    assert await running.find(naming(NEW.kid), may_ask=True)

    for number in range(10):
        for _ in range(20):
            with pytest.raises(InvalidTokenError):
                await running.find(naming(OLD.kid), may_ask=True)
            await clock.advance(1)
        issuer.keys = parse_jwks({"keys": [public_jwk(NEWER, kid=f"rotation-{number}")]})
        assert await running.find(naming(f"rotation-{number}"), may_ask=True)


async def test_an_issuer_whose_servers_disagree_is_not_asked_for_each_forged_key(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    for number in range(200):
        issuer.keys = key_set(NEW) if number % 2 else key_set(OLD)
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"), may_ask=True)

    assert issuer.fetches.count(True) <= 4


async def test_a_key_that_was_taken_back_and_returns_is_found_again(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(NEW)
    await running.refresh(Trigger.TIMER)
    issuer.keys = key_set(OLD, NEW)

    assert await running.find(naming(), may_ask=True)


async def test_while_the_brake_holds_and_the_keys_are_stale_nobody_is_called_a_forger(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.down = True
    await clock.advance(400)
    for number in range(2):
        with pytest.raises(KeysUnavailableError):
            await running.find(naming(f"new-{number}"), may_ask=True)

    with pytest.raises(KeysUnavailableError):
        await running.find(naming("new"), may_ask=True)

    assert issuer.fetches.count(True) == 2


async def test_while_the_brake_holds_and_the_issuer_does_not_answer_nobody_is_called_a_forger(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.down = True

    for number in range(10):
        with pytest.raises(KeysUnavailableError):
            await running.find(naming(f"new-{number}"), may_ask=True)

    assert issuer.fetches.count(True) == 2
    assert running.state is State.FRESH
    issuer.down = False
    await running.refresh(Trigger.TIMER)
    with pytest.raises(InvalidTokenError):
        await running.find(naming("new"), may_ask=True)


async def test_a_fetch_that_fails_leaves_an_unknown_key_undecided(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.down = True

    with pytest.raises(KeysUnavailableError):
        await running.find(naming("new"), may_ask=True)
    assert await running.find(naming(), may_ask=True)


async def test_a_fetch_under_way_is_joined_and_what_came_after_it_asked_for_again(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    published = issuer.keys
    issuer.gate.clear()
    await clock.advance(241)
    waiting = asyncio.create_task(running.find(naming(NEW.kid), may_ask=True))
    await settle()
    assert issuer.fetches == [False, False], "joined"

    async def rotated_meanwhile(held: PublishedKeySet | None, *, fresh: bool) -> PublishedKeySet:
        issuer.fetches.append(fresh)
        return PublishedKeySet(key_set(OLD, NEW) if fresh else published, "", {}, clock.time)

    issuer.rotation = rotated_meanwhile
    issuer.gate.set()

    assert await waiting
    assert issuer.fetches == [False, False, True]


async def test_a_client_that_leaves_does_not_take_the_others_fetch_along(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(OLD, NEW)
    issuer.gate.clear()
    leaving, staying = (
        asyncio.create_task(running.find(naming(NEW.kid), may_ask=True)) for _ in range(2)
    )
    await settle()

    leaving.cancel()
    await settle()
    issuer.gate.set()

    assert await staying
    assert leaving.cancelled()
    assert len(issuer.fetches) == 2


async def test_a_removed_key_is_unknown_from_the_swap_on_and_its_generation_over(
    running: RemoteKeySet, issuer: FakeIssuer, log: list[EventDict]
) -> None:
    await running.find(naming(), may_ask=True)
    generation = running.generation
    issuer.keys = key_set(NEW)

    await running.refresh(Trigger.TIMER)

    assert not running.vouches_for(generation)
    with pytest.raises(InvalidTokenError):
        await running.find(naming(), may_ask=True)
    assert events(log, "jwks.rotated")[0]["removed"] == [OLD.kid]


async def test_a_token_for_another_algorithm_never_causes_a_fetch(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    token = UnverifiedToken.parse(unsigned(header(alg="ES256")))

    with pytest.raises(InvalidTokenError) as refused:
        await running.find(token, may_ask=True)

    assert refused.value.reason is Reason.KEY_MISMATCH
    assert len(issuer.fetches) == 1


async def test_a_token_without_a_key_id_never_causes_a_fetch(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(OLD, NEW)
    await running.refresh(Trigger.TIMER)

    with pytest.raises(InvalidTokenError):
        await running.find(naming(None), may_ask=True)

    assert issuer.fetches == [False, False]


# ---- who may cause a fetch, and who waits for it


async def test_a_token_that_is_refused_in_any_case_never_causes_a_fetch(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        await running.find(naming("invented"), may_ask=False)

    assert refused.value.reason is Reason.UNKNOWN_KEY
    assert issuer.fetches == [False]


async def test_a_key_that_the_issuer_does_not_have_is_asked_for_once_in_half_a_minute(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    for _ in range(10):
        with pytest.raises(InvalidTokenError):
            await running.find(naming("invented"), may_ask=True)
    assert issuer.fetches == [False, True]
    assert counted(running.journal.numbers.unknown_keys) == {
        Outcome.REFETCHED: 1,
        Outcome.REMEMBERED: 9,
    }

    await clock.advance(30)
    with pytest.raises(InvalidTokenError):
        await running.find(naming("invented"), may_ask=True)

    assert issuer.fetches == [False, True, True]


async def test_another_generation_makes_a_remembered_key_worth_a_question(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    with pytest.raises(InvalidTokenError):
        await running.find(naming(NEWER.kid), may_ask=True)
    issuer.keys = key_set(OLD, NEW)
    await running.refresh(Trigger.TIMER)
    issuer.keys = key_set(OLD, NEW, NEWER)

    assert await running.find(naming(NEWER.kid), may_ask=True)


async def test_a_key_that_was_braked_is_not_remembered_as_unknown(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    for number in range(2):
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"), may_ask=True)
    issuer.keys = key_set(OLD, NEW)
    with pytest.raises(InvalidTokenError) as braked:
        await running.find(naming(NEW.kid), may_ask=True)
    assert braked.value.reason is Reason.UNKNOWN_KEY

    await clock.advance(30)

    assert await running.find(naming(NEW.kid), may_ask=True)
    assert running.journal.numbers.unknown_keys[Outcome.BRAKED].value == 1


@pytest.mark.parametrize("down", [False, True], ids=["it answers", "it is down"])
async def test_ten_thousand_invented_keys_cost_the_issuer_no_more_than_the_bound(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock, down: bool
) -> None:
    issuer.down = down
    refusals = (InvalidTokenError, KeysUnavailableError) if down else InvalidTokenError
    for number in range(10_000):
        with pytest.raises(refusals):
            await running.find(naming(f"invented-{number}"), may_ask=True)
        if number % 100 == 99:
            await clock.advance(1)

    assert issuer.fetches.count(True) <= 2 + 100 / 30
    assert await running.find(naming(), may_ask=True)


async def test_a_flood_does_not_put_off_the_timer(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    async def kids_fail(held: PublishedKeySet | None, *, fresh: bool) -> PublishedKeySet:
        issuer.fetches.append(fresh)
        if fresh:
            raise JWKSFetchError("not for you")
        return PublishedKeySet(issuer.keys, "", {}, clock.time)

    issuer.rotation = kids_fail
    async with kept_current(make_keys()) as keys:
        for second in range(1000):
            with pytest.raises((KeysUnavailableError, InvalidTokenError)):
                await keys.find(naming(f"invented-{second}"), may_ask=True)
            await clock.advance(1)

        assert issuer.fetches.count(True) <= 2 + 1000 / 30
        assert issuer.fetches.count(False) == 1 + 1000 // 240
        assert keys.state is State.FRESH


async def test_keys_that_the_timer_brought_are_no_reward_for_who_invents_keys(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    for number in range(2):
        with pytest.raises(InvalidTokenError):
            await running.find(naming(f"invented-{number}"), may_ask=True)
    issuer.keys = key_set(OLD, NEW)
    await running.refresh(Trigger.TIMER)

    with pytest.raises(InvalidTokenError):
        await running.find(naming("invented"), may_ask=True)

    assert issuer.fetches.count(True) == 2


async def test_two_fetches_one_after_the_other_are_waited_for_no_longer_than_one(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.gate.clear()
    await clock.advance(240.5)  # the timer's is under way
    waiting = asyncio.create_task(running.find(naming(NEW.kid), may_ask=True))
    await clock.advance(0.8)
    issuer.gate.set()
    await settle()
    issuer.gate.clear()
    waiting_still = not waiting.done()

    await clock.advance(0.2)

    assert waiting.done()
    issuer.gate.set()
    result = (await asyncio.gather(waiting, return_exceptions=True))[0]
    assert isinstance(result, InvalidTokenError | KeysUnavailableError)
    assert waiting_still or isinstance(result, InvalidTokenError)


async def test_what_was_fetched_is_counted(running: RemoteKeySet, issuer: FakeIssuer) -> None:
    await running.refresh(Trigger.FORCED)
    issuer.down = True
    await running.refresh(Trigger.TIMER)

    assert counted(running.journal.numbers.fetches) == {
        (Trigger.START, Result.OK): 1,
        (Trigger.FORCED, Result.OK): 1,
        (Trigger.TIMER, Result.FAILED): 1,
    }


async def test_the_timer_takes_nothing_from_the_permits(
    make_keys: MakeKeys, issuer: FakeIssuer, clock: FakeClock
) -> None:
    async with kept_current(make_keys(refresh_interval=1, unknown_key_cooldown=3600)) as keys:
        await clock.advance(100)
        assert issuer.fetches.count(False) > 100

        for number in range(2):
            with pytest.raises(InvalidTokenError):
                await keys.find(naming(f"invented-{number}"), may_ask=True)

    assert issuer.fetches.count(True) == 2


async def test_nobody_waits_longer_than_a_second(
    running: RemoteKeySet, issuer: FakeIssuer, clock: FakeClock
) -> None:
    issuer.gate.clear()
    waiting = asyncio.create_task(running.find(naming(NEW.kid), may_ask=True))
    await clock.advance(0.9)
    assert not waiting.done()

    await clock.advance(0.1)

    with pytest.raises(KeysUnavailableError) as unavailable:
        await waiting
    assert unavailable.value.retry_after == 1
    assert counted(running.journal.numbers.unknown_keys) == {Outcome.OVERFLOW: 1}
    issuer.gate.set()


async def test_no_more_than_a_thousand_wait_and_the_others_are_told_at_once(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.keys = key_set(OLD, NEW)
    issuer.gate.clear()
    waiting = [
        asyncio.create_task(running.find(naming(NEW.kid), may_ask=True)) for _ in range(1100)
    ]
    await settle()
    assert sum(each.done() for each in waiting) == 1100 - 1024
    issuer.gate.set()

    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert sum(isinstance(each, KeysUnavailableError) for each in found) == 1100 - 1024
    assert sum(isinstance(each, tuple) for each in found) == 1024
    assert issuer.fetches == [False, True]


async def test_what_is_known_is_found_at_once_while_others_wait(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.gate.clear()
    waiting = asyncio.create_task(running.find(naming(NEW.kid), may_ask=True))
    await settle()

    search = running.find(naming(), may_ask=True)

    with pytest.raises(StopIteration):  # without giving way once
        search.send(None)
    issuer.gate.set()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_an_unknown_key_is_asked_for_without_conditions(
    running: RemoteKeySet, issuer: FakeIssuer
) -> None:
    issuer.headers = {"ETag": '"coarse"'}
    await running.refresh(Trigger.TIMER)
    issuer.conditional = 0

    with pytest.raises(InvalidTokenError):
        await running.find(naming("invented"), may_ask=True)

    assert issuer.conditional == 0
