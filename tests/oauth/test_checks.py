"""The order in which a token is judged is fixed, and an explanation hears of each step."""

from collections.abc import Mapping
from typing import Any

import pytest

from server.oauth.checks import Check
from server.oauth.errors import AuthError, Reason
from server.oauth.scope import scope
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache, TokenCacheSettings
from tests.fakes import StaticKeys
from tests.minting import NOW, claims, header, policy, private_key, sign, unsigned

# What makes a token fail at a check, and pass all the checks before it.
FAULTS: Mapping[Check, tuple[dict[str, Any], dict[str, Any], Reason]] = {
    Check.ISSUER: ({}, {"iss": "https://evil.example/"}, Reason.UNTRUSTED_ISSUER),
    Check.ALGORITHM: ({"alg": "none"}, {}, Reason.ALGORITHM_NOT_ALLOWED),
    Check.TYPE: ({"typ": "dpop+jwt"}, {}, Reason.WRONG_TYPE),
    Check.KEY: ({"kid": "unknown"}, {}, Reason.UNKNOWN_KEY),
    Check.SIGNATURE: ({}, {}, Reason.BAD_SIGNATURE),
    Check.KIND: ({}, {"events": {}}, Reason.WRONG_TYPE),
    Check.REQUIRED: ({}, {"client_id": ...}, Reason.INVALID_CLAIM),
    Check.IDENTITY: ({}, {"sub": ""}, Reason.INVALID_CLAIM),
    Check.AUDIENCE: ({}, {"aud": "https://other.example"}, Reason.WRONG_AUDIENCE),
    Check.SCOPES: ({}, {"scope": 5}, Reason.INVALID_CLAIM),
    Check.TIMES: ({}, {"exp": 1}, Reason.EXPIRED),
}
ORDER = list(Check)


def faulty_from(first: Check) -> str:
    """Give a token that has every fault there is, from *first* on."""
    protected, payload = header(), claims()
    for check in ORDER[ORDER.index(first) :]:
        head, body, _ = FAULTS.get(check, ({}, {}, None))
        protected, payload = protected | head, payload | body
    payload = {name: value for name, value in payload.items() if value is not ...}
    if ORDER.index(first) > ORDER.index(Check.SIGNATURE):
        return sign(payload, protected, private_key())
    return unsigned(protected, payload)


class AnyKey(StaticKeys):
    async def find(self, token: Any, *, may_ask: bool) -> Any:
        if token.jws.key_id == "unknown":
            raise AuthError(Reason.UNKNOWN_KEY, "")
        return self.keys.keys


@pytest.fixture
def protector() -> ResourceProtector:
    return ResourceProtector(
        [Issuer(policy(profile="at+jwt"), AnyKey())],
        TokenCache(TokenCacheSettings()),
        clock=lambda: NOW,
    )


@pytest.mark.parametrize("check", FAULTS, ids=str)
async def test_of_all_faults_the_first_is_the_one_that_refuses(
    protector: ResourceProtector, check: Check
) -> None:
    told: list[Check] = []

    with pytest.raises(AuthError) as refused:
        await protector.admit(
            [f"Bearer {faulty_from(check)}"],
            scope("read:nothing"),
            tell=lambda passed, _found: told.append(passed),
        )

    assert refused.value.reason is FAULTS[check][2]
    assert told == ORDER[: ORDER.index(check)]


async def test_a_token_that_lacks_the_scope_has_passed_all_else(
    protector: ResourceProtector,
) -> None:
    told: list[Check] = []

    with pytest.raises(AuthError) as refused:
        await protector.admit(
            [f"Bearer {sign(claims())}"],
            scope("read:nothing"),
            tell=lambda passed, _found: told.append(passed),
        )

    assert refused.value.reason is Reason.INSUFFICIENT_SCOPE
    assert told == ORDER[:-1]


@pytest.mark.parametrize(("line", "passed"), [("", 0), ("Bearer junk", 1)], ids=["none", "junk"])
async def test_what_is_no_token_passes_little(
    protector: ResourceProtector, line: str, passed: int
) -> None:
    told: list[Check] = []

    with pytest.raises(AuthError):
        await protector.admit([line], scope("a"), tell=lambda passed, _found: told.append(passed))

    assert told == ORDER[:passed]
