from typing import Any

import pytest
from pydantic import ValidationError

from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.unverified_token import UnverifiedToken
from tests.minting import header, policy, unsigned


def screen(protected: dict[str, Any], **settings: Any) -> None:
    token = UnverifiedToken.parse(unsigned(protected))
    policy(**settings).check_algorithm(token)
    policy(**settings).check_type(token)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
@pytest.mark.parametrize("profile", ["jwt", "at+jwt"])
def test_an_access_token_type_passes_in_any_case(typ: str, profile: str) -> None:
    screen(header(typ=typ), profile=profile)


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/jwt", ...])
def test_an_untyped_token_passes_in_profile_jwt_alone(typ: object) -> None:
    screen(header(typ=typ), profile="jwt")
    with pytest.raises(InvalidTokenError) as refused:
        screen(header(typ=typ), profile="at+jwt")

    assert refused.value.reason is Reason.WRONG_TYPE


@pytest.mark.parametrize("typ", ["dpop+jwt", "logout+jwt", "id+jwt", "", "at+jwt ", "x"])
@pytest.mark.parametrize("profile", ["jwt", "at+jwt"])
def test_another_type_never_passes(typ: str, profile: str) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        screen(header(typ=typ), profile=profile)

    assert refused.value.reason is Reason.WRONG_TYPE


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", "HS256", "rs256", "RS256 ", " RS256", "RS384"]
)
def test_an_algorithm_that_is_not_listed_is_refused(alg: str) -> None:
    with pytest.raises(InvalidTokenError) as refused:
        screen(header(alg=alg))

    assert refused.value.reason is Reason.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "Ed25519", "EdDSA"])
def test_the_default_algorithms_pass(alg: str) -> None:
    screen(header(alg=alg))


def test_a_listed_algorithm_passes_and_no_other() -> None:
    screen(header(alg="ES384"), algorithms=["ES384"])
    with pytest.raises(InvalidTokenError):
        screen(header(alg="RS256"), algorithms=["ES384"])


def test_eddsa_in_the_settings_is_ed25519() -> None:
    assert policy(algorithms=["EdDSA"]).algorithms == {"Ed25519"}


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS1"]},
        {"audience": []},
        {"audience": ""},
        {"audience": 5},
        {"profile": "id"},
        {"leeway": -1},
        {"leeway": "soon"},
        {"issuer": "http://issuer.example/"},
        {"issuer": "issuer"},
        {"issuer": "https://issuer.example/?a=b"},
        {"issuer": "https://user@issuer.example/"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_senseless_policy_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        policy(**settings)


def test_a_token_is_believed_until_it_expires_or_is_too_old() -> None:
    plain, aged = policy(leeway=30), policy(leeway=30, max_token_age=60)

    assert plain.believed_until(expires_at=1000, issued_at=100) == 1030
    assert aged.believed_until(expires_at=1000, issued_at=100) == 190
    assert aged.believed_until(expires_at=110, issued_at=100) == 140
