from typing import Any

import pytest

from server.oauth.access_token import AccessToken, verify
from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.unverified_token import UnverifiedToken
from tests.minting import (
    AUDIENCE,
    ISSUER,
    NOW,
    claims,
    header,
    key_kind,
    policy,
    private_key,
    sign,
    token,
    verification_keys,
)


def judge(compact: str, *, now: float = NOW, keys: Any = None, **settings: Any) -> AccessToken:
    return verify(
        UnverifiedToken.parse(compact), keys or verification_keys(), policy(**settings), now=now
    )


def refusal(compact: str, **how: Any) -> Reason:
    with pytest.raises(InvalidTokenError) as refused:
        judge(compact, **how)
    return refused.value.reason


def test_a_verified_token_says_what_it_grants() -> None:
    access = judge(token(scope="read:messages write:messages"))

    assert access.issuer == ISSUER
    assert access.subject == "user-1"
    assert access.client_id == "client-1"
    assert access.audience == (AUDIENCE,)
    assert access.scopes == {"read:messages", "write:messages"}
    assert access.expires_at == NOW + 3600
    assert access.issued_at == NOW - 10
    assert access.token_id == "token-1"
    assert access.claims["iss"] == ISSUER
    assert not access.cached


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "Ed25519", "EdDSA"])
def test_each_algorithm_is_verified(alg: str) -> None:
    key = private_key(key_kind(alg))
    compact = sign(claims(), header(alg=alg, kid=key.kid), key)

    assert judge(compact, keys=verification_keys(key))
    assert refusal(compact[:-8] + "AAAAAAAA", keys=verification_keys(key)) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "Ed25519"])
def test_no_signature_is_a_bad_signature(alg: str) -> None:
    key = private_key(key_kind(alg))
    compact = sign(claims(), header(alg=alg), key).rpartition(".")[0] + "."

    assert refusal(compact, keys=verification_keys(key)) is Reason.BAD_SIGNATURE


def test_the_parts_of_two_tokens_make_no_token() -> None:
    head, _, signature = token().split(".")
    _, body, _ = token(sub="somebody-else").split(".")

    assert refusal(f"{head}.{body}.{signature}") is Reason.BAD_SIGNATURE


def test_another_key_under_the_same_name_is_a_bad_signature() -> None:
    compact = sign(claims(), key=private_key("RSA", "other"))

    assert refusal(compact) is Reason.BAD_SIGNATURE


def test_of_several_keys_any_may_have_signed() -> None:
    other = private_key("RSA", "other")

    assert judge(sign(claims(), key=other), keys=verification_keys(private_key(), other))


def test_claims_are_judged_after_the_signature_only() -> None:
    compact = sign(claims(exp=1), key=private_key("RSA", "other"))

    assert refusal(compact) is Reason.BAD_SIGNATURE


INVALID_CLAIM = Reason.INVALID_CLAIM
_SUBJECTS: list[Any] = [
    None,
    5,
    "",
    ["a"],
    {},
    "x" * 256,
    "a\nb",
    "a\rb",
    "a\x00",
    "a\x7f",
    "a\x85b",
]

CLAIMS: list[tuple[dict[str, Any], Reason]] = [
    # the times
    *[({"exp": exp}, INVALID_CLAIM) for exp in (..., None, "1", True, [1], 2**53, -(2**53), 1e300)],
    ({"exp": NOW - 30}, Reason.EXPIRED),
    ({"exp": NOW - 30.5}, Reason.EXPIRED),
    ({"exp": 0}, Reason.EXPIRED),
    ({"exp": -5}, Reason.EXPIRED),
    ({"nbf": NOW + 31}, Reason.NOT_YET_VALID),
    ({"nbf": NOW + 30.1}, Reason.NOT_YET_VALID),
    ({"iat": NOW + 31}, Reason.NOT_YET_VALID),
    *[({name: value}, INVALID_CLAIM) for name in ("nbf", "iat") for value in (None, "1", False)],
    # the audience
    *[
        ({"aud": aud}, INVALID_CLAIM)
        for aud in (..., None, 5, {}, {AUDIENCE: 1}, [5], [AUDIENCE, 5])
    ],
    *[
        ({"aud": aud}, Reason.WRONG_AUDIENCE)
        for aud in ([], "", "*", AUDIENCE + "/", AUDIENCE.upper(), AUDIENCE[:-1], [AUDIENCE + "x"])
    ],
    # who
    *[({"sub": sub}, INVALID_CLAIM) for sub in _SUBJECTS],
    *[({name: 5}, INVALID_CLAIM) for name in ("client_id", "jti")],
    # scopes
    *[
        ({"scope": scope}, INVALID_CLAIM)
        for scope in (
            5,
            None,
            True,
            {},
            {"read:messages": True},
            ["a", 5],
            'a"b',
            "a\\b",
            "a\tb",
            "é",
        )
    ],
    ({"scope": ["a b"]}, INVALID_CLAIM),
    ({"scope": " ".join(map(str, range(1001)))}, INVALID_CLAIM),
    # other kinds of token
    *[
        ({name: "x"}, Reason.WRONG_TYPE)
        for name in ("at_hash", "c_hash", "events", "token_introspection")
    ],
    ({"htm": "GET", "htu": "https://api.example/"}, Reason.WRONG_TYPE),
    ({"cnf": {"jkt": "x"}}, INVALID_CLAIM),
]


@pytest.mark.parametrize(("change", "reason"), CLAIMS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("profile", ["jwt", "at+jwt"])
def test_a_claim_that_is_not_as_it_must_be_is_refused(
    change: dict[str, Any], reason: Reason, profile: str
) -> None:
    assert refusal(token(**change), profile=profile) is reason


SOUND: list[dict[str, Any]] = [
    {"exp": NOW - 29},
    {"exp": NOW - 29.5},
    {"exp": NOW + 0.5},
    {"nbf": NOW + 30},
    {"iat": NOW + 30},
    {"iat": NOW + 29.9},
    {"aud": [AUDIENCE]},
    {"aud": ["https://other.example", AUDIENCE]},
    {"scope": ""},
    {"scope": ...},
    {"scope": " read:messages  write:messages "},
    {"scope": " ".join(map(str, range(1000)))},
    {"sub": "x" * 255},
    {"sub": "auth0|é 🔑"},
    {"htm": "GET"},
    {"vendor": {"deep": [1, 2, {"a": None}]}},
    {"big": 2**63},
]


@pytest.mark.parametrize("change", SOUND, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("profile", ["jwt", "at+jwt"])
def test_a_claim_at_the_edge_is_sound(change: dict[str, Any], profile: str) -> None:
    assert judge(token(**change), profile=profile)


@pytest.mark.parametrize("name", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
def test_profile_at_jwt_requires_all_of_rfc_9068(name: str) -> None:
    assert refusal(token(**{name: ...}), profile="at+jwt") is INVALID_CLAIM


@pytest.mark.parametrize("name", ["sub", "client_id", "iat", "jti", "scope"])
def test_profile_jwt_does_without_the_rest(name: str) -> None:
    assert judge(token(**{name: ...}), profile="jwt")


def test_a_list_of_scopes_is_for_profile_jwt_alone() -> None:
    compact = token(scope=["read:messages"])

    assert judge(compact, profile="jwt").scopes == {"read:messages"}
    assert refusal(compact, profile="at+jwt") is INVALID_CLAIM


def test_scopes_are_gathered_from_all_scope_claims() -> None:
    compact = token(scope="a", scp="b c", permissions=["d"])

    assert judge(compact).scopes == {"a", "b", "c"}
    assert judge(compact, scope_claims=["scope", "permissions"]).scopes == {"a", "d"}
    assert judge(compact, scope_claims=["scope", "permissions"], profile="at+jwt").scopes == {
        "a",
        "d",
    }


def test_one_of_several_audiences_is_enough() -> None:
    assert judge(
        token(aud="https://b.example"), audience=["https://a.example", "https://b.example"]
    )


@pytest.mark.parametrize(("age", "reason"), [(60 + 29, None), (60 + 30, Reason.TOO_OLD)])
def test_a_token_may_only_be_so_old(age: int, reason: Reason | None) -> None:
    compact = token(iat=NOW - age)

    if reason is None:
        assert judge(compact, max_token_age=60)
    else:
        assert refusal(compact, max_token_age=60) is reason


def test_a_token_without_an_age_has_none_to_be_judged() -> None:
    assert refusal(token(iat=...), max_token_age=60) is INVALID_CLAIM


def test_the_authorized_party_stands_in_for_the_client() -> None:
    assert judge(token(client_id=..., azp="party")).client_id == "party"


def test_a_refused_claim_leaves_evidence_that_names_the_subject() -> None:
    with pytest.raises(InvalidTokenError) as refused:
        judge(token(exp=1))

    evidence = refused.value.evidence
    assert evidence is not None
    assert (evidence.subject, evidence.token_id, evidence.issuer) == ("user-1", "token-1", ISSUER)


def test_what_is_done_to_the_claims_does_not_reach_the_next_request() -> None:
    access = judge(token(permissions=["read"]))

    access.claims["permissions"].append("admin")
    access.claims["sub"] = "somebody else"

    assert access.claims["permissions"] == ["read"]
    assert access.claims["sub"] == "user-1"
