import pytest

from server.jwks.snapshot import NOTHING, Snapshot, State
from server.oauth.keys import parse_jwks
from tests.minting import key_set, private_key, public_jwk

OLD, NEW = private_key("RSA", "main"), private_key("RSA", "other")


def first() -> Snapshot:
    return NOTHING.succeeded_by(key_set(OLD), fetched_at=100, lifetime=300)


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
    again = first().succeeded_by(key_set(OLD), fetched_at=200, lifetime=300)

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
    changed = first().succeeded_by(parse_jwks({"keys": document}), fetched_at=200, lifetime=300)

    assert changed.generation == 2


def test_what_came_and_went_is_named() -> None:
    after = first().succeeded_by(key_set(NEW), fetched_at=200, lifetime=300)

    assert after.names_missing_from(first()) == [NEW.kid]
    assert first().names_missing_from(after) == [OLD.kid]
