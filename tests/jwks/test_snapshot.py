import math
from dataclasses import replace

import pytest

from server.jwks.published import PublishedKeySet
from server.jwks.snapshot import NOTHING, Snapshot, State
from server.oauth.jwk_set import parse_jwks
from server.oauth.keys import KeySet
from tests.minting import key_set, private_key, public_jwk

OLD, NEW = private_key("RSA", "main"), private_key("RSA", "other")


def published(keys: KeySet, *, asked_at: float, **headers: str) -> PublishedKeySet:
    return PublishedKeySet(keys, "https://issuer.example/keys", headers, asked_at)


def first() -> Snapshot:
    return NOTHING.succeeded_by(published(key_set(OLD), asked_at=100), lifetime=300)


@pytest.mark.parametrize(
    ("now", "max_stale", "state"),
    [
        (100, 60, State.FRESH),
        (399, 60, State.FRESH),
        (400, 60, State.STALE),
        (459, 60, State.STALE),
        (460, 60, State.EXPIRED),
        (400, 0, State.EXPIRED),
    ],
)
def test_keys_are_fresh_then_stale_then_expired(now: float, max_stale: float, state: State) -> None:
    assert first().state(now=now, max_stale=max_stale) is state


def test_before_the_first_keys_there_is_nothing() -> None:
    assert NOTHING.state(now=-1e9, max_stale=1e9) is State.EMPTY


def test_the_same_keys_are_the_same_generation() -> None:
    again = first().succeeded_by(published(key_set(OLD), asked_at=200), lifetime=300)

    assert (first().generation, again.generation) == (1, 1)
    assert again.expires_at == 500


@pytest.mark.parametrize(
    "document",
    [
        [public_jwk(OLD), public_jwk(NEW)],
        [public_jwk(NEW)],
        [public_jwk(NEW, kid=OLD.kid)],
        [public_jwk(OLD, kid="renamed")],
        [public_jwk(OLD, alg="PS256")],
    ],
)
def test_whatever_changes_is_another_generation(document: list[object]) -> None:
    changed = first().succeeded_by(
        published(parse_jwks({"keys": document}), asked_at=200), lifetime=300
    )

    assert changed.generation == 2


def test_what_came_and_went_is_named() -> None:
    after = first().succeeded_by(published(key_set(NEW), asked_at=200), lifetime=300)

    assert after.names_missing_from(first()) == [NEW.kid]
    assert first().names_missing_from(after) == [OLD.kid]


@pytest.mark.parametrize(
    ("asked_at", "age", "is_late"),
    [(200, 0, False), (200, 97, False), (200, 103, True), (200, 500, True), (90, 0, True)],
)
def test_other_keys_that_left_the_issuer_before_what_is_held_are_late(
    asked_at: float, age: int, is_late: bool
) -> None:
    answer = published(key_set(NEW), asked_at=asked_at, Age=str(age))

    assert first().would_be_rolled_back_by(answer) is is_late
    assert not first().would_be_rolled_back_by(replace(answer, keys=key_set(OLD))), "the same keys"


@pytest.mark.parametrize(
    ("asked_at", "age", "is_outdated"),
    [(100, 0, False), (100.05, 0, False), (101, 0, True), (99, 0, False), (200, 500, False)],
)
def test_keys_are_outdated_by_what_was_asked_for_later_and_is_not_late(
    asked_at: float, age: int, is_outdated: bool
) -> None:
    shared = published(key_set(NEW), asked_at=asked_at, Age=str(age))

    assert first().is_outdated_by(shared) is is_outdated


def test_whatever_there_is_outdates_nothing_at_all() -> None:
    assert NOTHING.is_outdated_by(published(key_set(), asked_at=-1e9))
    assert not NOTHING.would_be_rolled_back_by(published(key_set(), asked_at=-1e9))


@pytest.mark.parametrize(("now", "left"), [(100, 300), (399, 1), (400, 60), (460, math.inf)])
def test_the_time_to_the_next_change_of_state_is_known(now: float, left: float) -> None:
    assert first().time_left(now=now, max_stale=60) == left
    assert NOTHING.time_left(now=now, max_stale=60) == math.inf
