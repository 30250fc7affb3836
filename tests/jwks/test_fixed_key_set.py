import pytest
from structlog.typing import EventDict

from server.jwks.fixed_key_set import FixedKeySet
from server.jwks.outcomes import Result, Trigger
from server.jwks.snapshot import State
from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.jwk_set import parse_jwks, secret_key_set
from server.oauth.unverified_token import UnverifiedToken
from tests.jwks.conftest import NEW, OLD, events, naming
from tests.minting import ISSUER, header, key_set, public_jwk, unsigned


@pytest.fixture
def keys(log: list[EventDict]) -> FixedKeySet:
    return FixedKeySet(ISSUER, key_set(OLD))


async def test_a_key_that_is_configured_is_found(keys: FixedKeySet) -> None:
    (found,) = await keys.find(naming(), may_ask=True)

    assert found.key_id == OLD.kid


async def test_any_other_is_unknown_and_nobody_is_asked(keys: FixedKeySet) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        await keys.find(naming(NEW.kid), may_ask=True)

    assert refused.value.reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("key_id", [..., "any"])
async def test_a_secret_serves_whatever_key_a_token_names(key_id: object) -> None:
    keys = FixedKeySet(ISSUER, secret_key_set(b"s" * 32))
    token = UnverifiedToken.parse(unsigned(header(alg="HS256", kid=key_id)))

    assert await keys.find(token, may_ask=True)


async def test_they_never_change_and_never_age(keys: FixedKeySet) -> None:
    assert await keys.refresh(Trigger.FORCED) is Result.NOT_MODIFIED
    assert keys.is_usable
    assert keys.vouches_for(keys.generation)
    assert not keys.vouches_for(keys.generation + 1)
    assert (keys.status.state, keys.status.keys, keys.status.age) == (State.FRESH, 1, None)


async def test_an_unfit_one_is_told_of(log: list[EventDict]) -> None:
    document = {"keys": [public_jwk(OLD), {"kty": "oct", "k": "AAAA", "kid": "leak"}]}
    keys = FixedKeySet(ISSUER, parse_jwks(document))

    await keys.run()

    (ignored,) = events(log, "jwks.key_ignored")
    assert (ignored["kid"], ignored["issuer"], ignored["log_level"]) == ("leak", ISSUER, "error")
