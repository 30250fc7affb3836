import threading
from contextlib import suppress
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.typing import EventDict

from server.jwks.outcomes import Trigger
from server.jwks.policy import RefreshPolicy
from server.jwks.remote_key_set import RemoteKeySet
from server.jwks.sharing import SharedKeys
from server.jwks.store import Store
from server.oauth.checks import Check
from server.oauth.errors import (
    AuthError,
    InsufficientScopeError,
    InvalidTokenError,
    MissingTokenError,
    Reason,
)
from server.oauth.scope import authenticated, scope
from server.protector import Issuer, ResourceProtector
from server.token_cache import TokenCache, TokenCacheSettings
from tests.fakes import FakeClock, FakeIssuer, StaticKeys
from tests.minting import (
    ISSUER,
    NOW,
    claims,
    header,
    key_set,
    policy,
    private_key,
    sign,
    token,
    unsigned,
)

OTHER_ISSUER = "https://other.example/"


async def refusal(protector: ResourceProtector, *lines: str) -> AuthError:
    with pytest.raises(AuthError) as refused:
        await protector.admit(lines, authenticated)
    return refused.value


async def test_a_sound_token_is_admitted(protector: ResourceProtector) -> None:
    access = await protector.admit([f"Bearer {token()}"], scope("read:messages"))

    assert access.subject == "user-1"


async def test_no_token_is_missing(protector: ResourceProtector) -> None:
    assert isinstance(await refusal(protector), MissingTokenError)


async def test_a_token_without_the_scope_is_told_what_it_lacks(
    protector: ResourceProtector,
) -> None:
    needed = scope("read:messages", "write:messages")

    with pytest.raises(InsufficientScopeError) as refused:
        await protector.admit([f"Bearer {token()}"], needed)

    assert refused.value.scopes == ("read:messages", "write:messages")
    assert refused.value.missing == ("write:messages",)
    assert refused.value.evidence is not None
    assert refused.value.evidence.subject == "user-1"


@pytest.mark.parametrize(
    "issuer",
    [
        "https://issuer.example",
        "https://issuer.example//",
        "https://ISSUER.example/",
        "https://issuer.example/ ",
        "https://issuer.exampl\u0435/",
        "https://issuer.example/path",
        ["https://issuer.example/"],
        None,
        5,
        "",
        ...,
    ],
    ids=repr,
)
async def test_an_issuer_is_compared_character_by_character(
    protector: ResourceProtector, issuer: object
) -> None:
    error = await refusal(protector, f"Bearer {token(iss=issuer)}")

    assert error.reason is Reason.UNTRUSTED_ISSUER
    assert error.evidence is not None
    assert error.evidence.issuer is None, "a claimed issuer is not logged"


async def test_two_issuers_each_have_their_own_keys_and_audience() -> None:
    theirs = private_key("RSA", "other")
    protector = ResourceProtector(
        [
            Issuer(policy(), StaticKeys()),
            Issuer(policy(issuer=OTHER_ISSUER, audience="b"), StaticKeys(key_set(theirs))),
        ],
        TokenCache(TokenCacheSettings()),
        clock=lambda: NOW,
    )
    foreign = claims(iss=OTHER_ISSUER, aud="b")

    sound = sign(foreign, header(kid=theirs.kid), theirs)
    assert (await protector.admit([f"Bearer {sound}"], authenticated)).issuer == OTHER_ISSUER
    crossed = sign(foreign, header(kid=theirs.kid), private_key())
    assert (await refusal(protector, f"Bearer {crossed}")).reason is Reason.BAD_SIGNATURE
    misled = sign(claims(iss=OTHER_ISSUER), header(kid=theirs.kid), theirs)
    assert (await refusal(protector, f"Bearer {misled}")).reason is Reason.WRONG_AUDIENCE


async def test_junk_never_reaches_the_keys() -> None:
    class NoKeys(StaticKeys):
        async def find(self, token: object, *, may_ask: bool) -> tuple[()]:
            raise AssertionError(token)

    protector = ResourceProtector(
        [Issuer(policy(), NoKeys())], TokenCache(TokenCacheSettings()), clock=lambda: NOW
    )
    junk = [
        "a.b.c",
        token(iss="https://evil.example/"),
        unsigned(header(alg="none"), claims()),
        unsigned(header(typ="dpop+jwt"), claims()),
    ]

    reasons = [(await refusal(protector, f"Bearer {each}")).reason for each in junk]

    assert reasons == [
        Reason.MALFORMED,
        Reason.UNTRUSTED_ISSUER,
        Reason.ALGORITHM_NOT_ALLOWED,
        Reason.WRONG_TYPE,
    ]


async def test_before_the_signature_the_evidence_names_key_algorithm_and_issuer_alone(
    protector: ResourceProtector,
) -> None:
    forged = unsigned(header(), claims(sub="victim"))

    error = await refusal(protector, f"Bearer {forged}")

    assert error.reason is Reason.BAD_SIGNATURE
    assert error.evidence is not None
    assert error.evidence.key_id == "RSA-main"
    assert error.evidence.algorithm == "RS256"
    assert error.evidence.issuer == "https://issuer.example/"
    assert error.evidence.subject is error.evidence.token_id is error.evidence.client_id is None


async def test_what_is_logged_of_a_forged_header_is_escaped_and_cut(
    protector: ResourceProtector,
) -> None:
    forged = unsigned(header(alg="\x1b[31m\n", kid="é" * 200), claims())

    error = await refusal(protector, f"Bearer {forged}")

    assert error.evidence is not None
    assert error.evidence.algorithm == "\\x1b[31m\\n"
    assert error.evidence.key_id == ("\\xe9" * 200)[:64]


async def test_after_the_signature_a_refusal_names_the_subject(
    protector: ResourceProtector,
) -> None:
    error = await refusal(protector, f"Bearer {token(exp=1)}")

    assert isinstance(error, InvalidTokenError)
    assert error.evidence is not None
    assert error.evidence.subject == "user-1"


@pytest.mark.parametrize(
    ("times", "may_ask"),
    [
        ({}, True),
        ({"exp": NOW - 29}, True),
        ({"exp": NOW - 30}, False),
        ({"exp": ...}, False),
        ({"exp": "soon"}, False),
        ({"nbf": NOW + 31}, False),
        ({"iat": "then"}, False),
    ],
    ids=str,
)
async def test_a_token_that_its_own_times_refuse_is_not_worth_a_question(
    protector: ResourceProtector, keys: StaticKeys, times: dict[str, Any], may_ask: bool
) -> None:
    with suppress(AuthError):
        await protector.admit([f"Bearer {token(**times)}"], authenticated)

    assert keys.asked == [may_ask]


async def test_a_thousand_bad_signatures_under_a_known_key_cause_no_fetch(
    clock: FakeClock, log: list[EventDict]
) -> None:
    issuer = FakeIssuer(clock=clock)
    shared = SharedKeys(ISSUER, Store.open(SecretStr("memory://")), clock=clock)
    keys = RemoteKeySet(ISSUER, issuer.fetch, RefreshPolicy(), shared, now=clock, sleep=clock.sleep)
    await keys.refresh(Trigger.START)
    protector = ResourceProtector(
        [Issuer(policy(), keys)], TokenCache(TokenCacheSettings()), clock=lambda: NOW
    )

    for number in range(1000):
        forged = unsigned(header(), claims(jti=f"forged-{number}"))
        assert (await refusal(protector, f"Bearer {forged}")).reason is Reason.BAD_SIGNATURE

    assert issuer.fetches == [False]


@pytest.mark.parametrize(
    ("kind", "algorithm", "thread"),
    [("RSA", "RS256", "MainThread"), ("EC", "ES256", "MainThread"), ("P-384", "ES384", "verify")],
)
async def test_a_slow_signature_does_not_hold_the_event_loop(
    kind: str, algorithm: str, thread: str
) -> None:
    key = private_key(kind)
    keys = StaticKeys(key_set(key))
    believed = policy(algorithms=[algorithm])
    protector = ResourceProtector(
        [Issuer(believed, keys)], TokenCache(TokenCacheSettings()), clock=lambda: NOW
    )
    heard: dict[Check, str] = {}

    def tell(check: Check, _found: object) -> None:
        heard[check] = threading.current_thread().name

    compact = sign(claims(), header(alg=algorithm, kid=key.kid), key)
    await protector.admit([f"Bearer {compact}"], authenticated, tell=tell)

    assert heard[Check.SIGNATURE].startswith(thread)
    assert (await protector.admit([f"Bearer {compact}"], authenticated)).cached
