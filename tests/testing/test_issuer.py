"""What the test issuer mints, read back as the law reads it."""

import json
from typing import Any

import pytest

from server.issuer_settings import IssuerSettings
from server.oauth.access_token import AccessToken, verify
from server.oauth.jwk_set import parse_jwks
from server.oauth.unverified_token import UnverifiedToken
from server.testing.issuer import TestIssuer
from tests.minting import NOW


@pytest.fixture
def issuer() -> TestIssuer:
    return TestIssuer(clock=lambda: NOW + 0.9)


def read(issuer: TestIssuer, compact: str, **settings: Any) -> AccessToken:
    """Verify by the strictest policy there is."""
    asked = {
        "issuer": issuer.name,
        "audience": issuer.audience,
        "profile": "at+jwt",
        "leeway": 0,
        "jwks": issuer.jwks,
        **settings,
    }
    policy = IssuerSettings.model_validate(asked).policy
    token = UnverifiedToken.parse(compact)
    policy.check_algorithm(token)
    policy.check_type(token)
    return verify(token, parse_jwks(issuer.jwks).keys, policy, now=NOW + 0.9)


def test_a_token_is_sound_by_all_of_rfc_9068(issuer: TestIssuer) -> None:
    access = read(issuer, issuer.mint())

    assert access.issuer == "https://issuer.test/"
    assert access.audience == ("https://api.test",)
    assert access.subject == "test-user"
    assert access.client_id == "test-client"
    assert access.issued_at == NOW
    assert access.expires_at == NOW + 3600
    assert access.scopes == frozenset()
    assert "scope" not in access.claims


def test_each_token_has_an_id_of_its_own(issuer: TestIssuer) -> None:
    assert len({read(issuer, issuer.mint()).token_id for _ in range(5)}) == 5


def test_scopes_are_given_by_name(issuer: TestIssuer) -> None:
    access = read(issuer, issuer.mint(["a", "b"]))

    assert access.claims["scope"] == "a b"
    assert access.scopes == {"a", "b"}


def test_scopes_in_one_text_are_refused_before_they_become_letters(issuer: TestIssuer) -> None:
    with pytest.raises(TypeError, match="a list of names"):
        issuer.mint("read:messages")


def test_claims_are_added_replaced_and_left_out(issuer: TestIssuer) -> None:
    changes: dict[str, Any] = {
        "https://acme/roles": ["a"],
        "sub": "ann",
        "client_id": ...,
        "scope": "c",
    }

    claims = read(issuer, issuer.mint(["a"], **changes), profile="jwt").claims

    assert claims["https://acme/roles"] == ["a"]
    assert claims["sub"] == "ann"
    assert claims["scope"] == "c"
    assert claims.keys() == {"iss", "sub", "aud", "iat", "exp", "jti", "scope", *changes} - {
        "client_id"
    }


def test_an_expired_token_was_not_issued_after_its_end(issuer: TestIssuer) -> None:
    claims = UnverifiedToken.parse(issuer.mint(expires_in=-60)).claims

    assert claims["iat"] == claims["exp"] == NOW - 60


def test_headers_carry_what_mint_would_have_minted(issuer: TestIssuer) -> None:
    headers = issuer.bearer(["a"], expires_in=60, sub="ann")

    assert headers.keys() == {"Authorization"}
    scheme, compact = headers["Authorization"].split(" ")
    assert scheme == "Bearer"
    access = read(issuer, compact)
    assert access.scopes == {"a"}
    assert access.expires_at == NOW + 60
    assert access.subject == "ann"


def test_what_it_publishes_is_public_and_fit_for_a_file(issuer: TestIssuer) -> None:
    (key,) = json.loads(json.dumps(issuer.jwks))["keys"]

    assert key.keys() >= {"kty", "kid", "crv", "x", "y"}
    assert "d" not in key


def test_two_of_one_name_have_different_keys(issuer: TestIssuer) -> None:
    assert TestIssuer(issuer.name).jwks != issuer.jwks
