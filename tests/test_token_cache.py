from dataclasses import astuple, replace
from typing import Any

import pytest

from server.oauth.access_token import AccessToken, verify
from server.oauth.errors import InvalidTokenError
from server.oauth.scope import authenticated
from server.oauth.unverified_token import UnverifiedToken
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache, TokenCacheSettings
from tests.fakes import StaticKeys
from tests.minting import NOW, claims, key_set, policy, private_key, token, verification_keys


def cache(size: int = 10) -> TokenCache:
    return TokenCache(TokenCacheSettings(size=size))


def keep(tokens: TokenCache, compact: str, access: AccessToken, keys: StaticKeys) -> None:
    tokens.put(compact, access, keys, generation=keys.generation)


def judged(**asked: Any) -> AccessToken:
    return verify(UnverifiedToken.parse(token()), verification_keys(), policy(**asked), now=NOW)


@pytest.fixture(scope="module")
def access() -> AccessToken:
    return judged()


def test_a_verified_token_is_found_again_and_marked(access: AccessToken, keys: StaticKeys) -> None:
    tokens = cache()

    keep(tokens, "a.b.c", access, keys)

    assert tokens.get("a.b.c", now=NOW) == replace(access, _payload="b", cached=True)
    assert tokens.get("a.b.d", now=NOW) is None


def test_a_verdict_ends_with_its_token(access: AccessToken, keys: StaticKeys) -> None:
    tokens = cache()
    keep(tokens, "a.b.c", judged(leeway=30), keys)

    assert tokens.get("a.b.c", now=access.expires_at + 29.9)
    assert tokens.get("a.b.c", now=access.expires_at + 30) is None
    assert tokens.get("a.b.c", now=NOW) is None, "once it has ended it is gone"


def test_a_verdict_ends_when_its_token_is_too_old(access: AccessToken, keys: StaticKeys) -> None:
    tokens = cache()
    keep(tokens, "a.b.c", judged(leeway=0, max_token_age=60), keys)

    assert tokens.get("a.b.c", now=NOW + 49)
    assert tokens.get("a.b.c", now=NOW + 50) is None


def test_a_verdict_ends_with_its_keys(access: AccessToken, keys: StaticKeys) -> None:
    tokens = cache()
    keep(tokens, "a.b.c", access, keys)

    keys.change(key_set(private_key("RSA", "other")))

    assert tokens.get("a.b.c", now=NOW) is None


def test_a_verdict_does_not_outlive_the_use_of_its_keys(
    access: AccessToken, keys: StaticKeys
) -> None:
    tokens = cache()
    keep(tokens, "a.b.c", access, keys)

    keys.usable = False

    assert tokens.get("a.b.c", now=NOW) is None


def test_a_full_cache_forgets_what_was_used_least_lately(
    access: AccessToken, keys: StaticKeys
) -> None:
    tokens = cache(size=2)
    keep(tokens, "a.a.a", access, keys)
    keep(tokens, "b.b.b", access, keys)
    tokens.get("a.a.a", now=NOW)

    keep(tokens, "c.c.c", access, keys)

    assert [bool(tokens.get(f"{each}.{each}.{each}", now=NOW)) for each in "abc"] == [
        True,
        False,
        True,
    ]


def test_a_cache_without_size_keeps_nothing(access: AccessToken, keys: StaticKeys) -> None:
    tokens = cache(size=0)

    keep(tokens, "a.a.a", access, keys)

    assert tokens.get("a.a.a", now=NOW) is None


def test_what_is_no_text_is_not_found() -> None:
    assert cache().get("\udc80\ud800", now=NOW) is None


@pytest.mark.parametrize("size", [0, 10])
async def test_with_and_without_a_cache_the_decision_is_the_same(size: int) -> None:
    keys = StaticKeys()
    protector = ResourceProtector([Issuer(policy(), keys)], cache(size), clock=lambda: NOW)

    seen = [await protector.admit([f"Bearer {token()}"], authenticated) for _ in range(3)]
    assert [each.cached for each in seen] == [False, size > 0, size > 0]

    keys.change(key_set(private_key("EC")))
    with pytest.raises(InvalidTokenError):
        await protector.admit([f"Bearer {token()}"], authenticated)


async def test_a_refusal_is_not_kept() -> None:
    time = float(NOW)
    protector = ResourceProtector([Issuer(policy(), StaticKeys())], cache(), clock=lambda: time)
    early = f"Bearer {token(nbf=NOW + 60)}"
    with pytest.raises(InvalidTokenError):
        await protector.admit([early], authenticated)

    time = NOW + 60

    assert await protector.admit([early], authenticated)


def test_a_verdict_reached_with_keys_that_have_changed_since_is_not_believed(
    access: AccessToken, keys: StaticKeys
) -> None:
    tokens = cache()
    found_at = keys.generation
    keys.change(key_set(private_key("RSA", "other")))

    tokens.put("a.b.c", access, keys, generation=found_at)

    assert tokens.get("a.b.c", now=NOW) is None


def test_tokens_of_one_client_share_what_they_have_in_common(keys: StaticKeys) -> None:
    tokens = cache()
    for number in range(3):
        compact = token(jti=str(number))
        fresh = verify(UnverifiedToken.parse(compact), verification_keys(), policy(), now=NOW)
        keep(tokens, compact, fresh, keys)

    found = [tokens.get(token(jti=str(number)), now=NOW) for number in range(3)]

    assert [each and each.token_id for each in found] == ["0", "1", "2"]
    assert len({id(each and each.mandate) for each in found}) == 1


def test_what_is_shared_goes_with_the_last_who_shares_it(
    access: AccessToken, keys: StaticKeys
) -> None:
    tokens = cache(size=1)
    keep(tokens, "a.a.a", access, keys)
    before = tokens.get("a.a.a", now=NOW)
    keep(tokens, "b.b.b", replace(access, mandate=replace(access.mandate, client_id="x")), keys)
    after = tokens.get("b.b.b", now=NOW)

    assert before is not None
    assert after is not None
    assert (before.client_id, after.client_id) == ("client-1", "x")
    assert len(tokens) == 1


def test_a_remembered_token_is_the_one_that_was_verified(
    access: AccessToken, keys: StaticKeys
) -> None:
    tokens = cache()
    compact = token()
    keep(tokens, compact, access, keys)

    found = tokens.get(compact, now=NOW)

    assert found == replace(access, cached=True)
    assert found.claims == access.claims == claims()
    assert compact.rpartition(".")[2] not in repr(astuple(found)), "nor is its signature there"


@pytest.mark.parametrize("subject", ["user-1", "client-1", ...])
@pytest.mark.parametrize("client_id", ["client-1", ...])
@pytest.mark.parametrize("token_id", ["token-1", ...])
def test_names_are_remembered_as_they_were(
    keys: StaticKeys, subject: object, client_id: object, token_id: object
) -> None:
    tokens = cache()
    compact = token(sub=subject, client_id=client_id, jti=token_id)
    fresh = verify(UnverifiedToken.parse(compact), verification_keys(), policy(), now=NOW)
    keep(tokens, compact, fresh, keys)

    assert tokens.get(compact, now=NOW) == replace(fresh, cached=True)
